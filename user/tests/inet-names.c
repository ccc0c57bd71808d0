// What programs ask about network interfaces, by ioctl on any socket: which there are, their addresses, states and
// numbers; and what /proc/net lists. The loopback is always there. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "inet.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { MOST = 64, LOOPBACK_MTU = 65536, LOOPBACK_INDEX = 1 };

static const int kinds[][2] = {{AF_INET, SOCK_DGRAM}, {AF_INET, SOCK_STREAM}, {AF_UNIX, SOCK_DGRAM}, {AF_UNIX, SOCK_STREAM}};
enum { INET_KINDS = 2, KINDS = sizeof kinds / sizeof *kinds };

static struct ifreq named(const char *name)
{
    struct ifreq r;
    memset(&r, 0x5a, sizeof r);
    memset(r.ifr_name, 0, sizeof r.ifr_name);
    strncpy(r.ifr_name, name, sizeof r.ifr_name - 1);
    return r;
}

// An address in a request; 0 if it is none of IPv4.
static uint32_t address_in(const struct ifreq *r)
{
    struct sockaddr_in a;
    memcpy(&a, &r->ifr_addr, sizeof a);
    return a.sin_family == AF_INET && a.sin_port == 0 ? ntohl(a.sin_addr.s_addr) : 0;
}

static void list(void)
{
    for (int i = 0; i < KINDS; i++) {
        int fd = socket(kinds[i][0], kinds[i][1], 0), loopbacks = 0;
        struct ifreq all[MOST];
        struct ifconf c = {.ifc_len = sizeof all, .ifc_req = all};
        CHECK(ioctl(fd, SIOCGIFCONF, &c) == 0 && c.ifc_len >= (int)sizeof *all && c.ifc_len % sizeof *all == 0);
        int len = c.ifc_len;
        for (int j = 0; j < len / (int)sizeof *all; j++) {
            CHECK(memchr(all[j].ifr_name, 0, IFNAMSIZ) && all[j].ifr_name[0] && address_in(&all[j]) != 0);
            loopbacks += strcmp(all[j].ifr_name, "lo") == 0 && address_in(&all[j]) == LOOPBACK;
        }
        CHECK(loopbacks == 1);
        // How much room it takes, without a place; no more than there is room for, and nothing in part.
        c = (struct ifconf){.ifc_len = 0};
        CHECK(ioctl(fd, SIOCGIFCONF, &c) == 0 && c.ifc_len == len);
        for (int room = 0; room < 2 * (int)sizeof *all; room += sizeof *all - 1) {
            memset(all, 0x5a, sizeof all);
            c = (struct ifconf){.ifc_len = room, .ifc_req = all};
            int wanted = room < len ? room / (int)sizeof *all * (int)sizeof *all : len;
            CHECK(ioctl(fd, SIOCGIFCONF, &c) == 0 && c.ifc_len == wanted && ((char *)all)[wanted] == 0x5a);
        }
        close(fd);
    }
}

static void loopback(void)
{
    for (int i = 0; i < KINDS; i++) {
        int fd = socket(kinds[i][0], kinds[i][1], 0);
        struct ifreq r = named("lo");
        CHECK(ioctl(fd, SIOCGIFFLAGS, &r) == 0 && strcmp(r.ifr_name, "lo") == 0);
        CHECK((r.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING)) == (IFF_UP | IFF_LOOPBACK | IFF_RUNNING));
        CHECK((r.ifr_flags & (IFF_BROADCAST | IFF_POINTOPOINT | IFF_PROMISC)) == 0);
        r = named("lo");
        CHECK(ioctl(fd, SIOCGIFMTU, &r) == 0 && r.ifr_mtu == LOOPBACK_MTU);
        r = named("lo");
        CHECK(ioctl(fd, SIOCGIFINDEX, &r) == 0 && r.ifr_ifindex == LOOPBACK_INDEX);
        r = named("not this");
        r.ifr_ifindex = LOOPBACK_INDEX;
        CHECK(ioctl(fd, SIOCGIFNAME, &r) == 0 && strcmp(r.ifr_name, "lo") == 0);
        r = named("lo");
        CHECK(ioctl(fd, SIOCGIFHWADDR, &r) == 0 && r.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK);
        CHECK(memcmp(r.ifr_hwaddr.sa_data, "\0\0\0\0\0", 6) == 0);
        if (i < INET_KINDS) {
            r = named("lo");
            r.ifr_addr.sa_family = AF_INET;
            CHECK(ioctl(fd, SIOCGIFADDR, &r) == 0 && address_in(&r) == LOOPBACK && strcmp(r.ifr_name, "lo") == 0);
            r = named("lo");
            r.ifr_addr.sa_family = AF_INET;
            CHECK(ioctl(fd, SIOCGIFNETMASK, &r) == 0 && address_in(&r) == 0xff000000);
        }
        close(fd);
    }
}

static void unknown(void)
{
    static const unsigned long by_name[] = {SIOCGIFFLAGS, SIOCGIFMTU, SIOCGIFINDEX, SIOCGIFHWADDR, SIOCGIFADDR, SIOCGIFNETMASK};
    static const char *const names[] = {"none0", "l", "lo0", "", "LO", "lo              "};
    for (int i = 0; i < KINDS; i++) {
        int fd = socket(kinds[i][0], kinds[i][1], 0);
        for (int j = 0; j < (i < INET_KINDS ? 6 : 4); j++) {
            for (int k = 0; k < 6; k++) {
                struct ifreq r = named(names[k]);
                r.ifr_addr.sa_family = AF_INET;
                CHECK_ERRNO(ioctl(fd, by_name[j], &r), ENODEV);
            }
            CHECK_BAD_IN(syscall(SYS_ioctl, fd, by_name[j], p), (int)sizeof(struct ifreq), 0);
        }
        struct ifreq r = named("lo");
        for (int k = 0; k < 3; k++) {
            r.ifr_ifindex = (const int[]){0, -1, 1000000}[k];
            CHECK_ERRNO(ioctl(fd, SIOCGIFNAME, &r), ENODEV);
        }
        CHECK_BAD_IN(syscall(SYS_ioctl, fd, SIOCGIFNAME, p), (int)sizeof(struct ifreq), 0);
        CHECK_BAD_OUT(syscall(SYS_ioctl, fd, SIOCGIFCONF, p), (int)sizeof(struct ifconf), 0);
        struct ifconf c = {.ifc_len = sizeof r, .ifc_buf = (void *)8};
        CHECK_ERRNO(ioctl(fd, SIOCGIFCONF, &c), EFAULT);
        CHECK_ERRNO(ioctl(fd, 0x8999, &r), ENOTTY);
        close(fd);
    }
    int p[2];
    struct ifreq r = named("lo");
    CHECK(pipe(p) == 0);
    CHECK_ERRNO(ioctl(p[0], SIOCGIFFLAGS, &r), ENOTTY);
    CHECK_ERRNO(ioctl(900, SIOCGIFFLAGS, &r), EBADF);
}

// As the library's calls find them, on whatever socket they choose.
static void by_library(void)
{
    char name[IF_NAMESIZE] = "";
    CHECK(if_nametoindex("lo") == LOOPBACK_INDEX && if_indextoname(LOOPBACK_INDEX, name) == name && strcmp(name, "lo") == 0);
    CHECK(if_nametoindex("none0") == 0 && errno == ENODEV);
    CHECK(if_indextoname(1000000, name) == 0 && errno == ENXIO);
}

// The line of a file of /proc/net about the socket with this descriptor, which its inode number tells.
static int line_about(const char *path, int fd, char *line, size_t size)
{
    struct stat about;
    char inode[32];
    FILE *file = fopen(path, "r");
    CHECK(file && fstat(fd, &about) == 0);
    snprintf(inode, sizeof inode, " %lu", (unsigned long)about.st_ino);
    int found = 0;
    while (file && !found && fgets(line, (int)size, file)) {
        char *at = strstr(line, inode);
        found = at && (at[strlen(inode)] == ' ' || at[strlen(inode)] == '\n');
    }
    if (file)
        fclose(file);
    return found;
}

// proc(5): what /proc/net tells of TCP, UDP and AF_UNIX sockets.
static void listed(void)
{
    char line[512], name[64];
    unsigned own, own_port, other, other_port, state, sent, received, uid;
    const char *form = "%*d: %x:%x %x:%x %x %x:%x %*x:%*x %*x %u";
    int l = listener(5), c = connected(SOCK_STREAM, l), s = accept(l, 0, 0), u = bound(SOCK_DGRAM, LOOPBACK);
    CHECK(write(c, "four", 4) == 4 && wait_for(s, POLLIN) == POLLIN);
    CHECK(line_about("/proc/net/tcp", l, line, sizeof line));
    CHECK(sscanf(line, form, &own, &own_port, &other, &other_port, &state, &sent, &received, &uid) == 8);
    CHECK(own == htonl(LOOPBACK) && own_port == port_of(l) && other == 0 && other_port == 0 && state == 10 && uid == geteuid());
    CHECK(line_about("/proc/net/tcp", s, line, sizeof line));
    CHECK(sscanf(line, form, &own, &own_port, &other, &other_port, &state, &sent, &received, &uid) == 8);
    CHECK(own_port == port_of(l) && other == htonl(LOOPBACK) && other_port == port_of(c) && state == 1 && received == 4);
    CHECK(line_about("/proc/net/udp", u, line, sizeof line));
    CHECK(sscanf(line, form, &own, &own_port, &other, &other_port, &state, &sent, &received, &uid) == 8);
    CHECK(own == htonl(LOOPBACK) && own_port == port_of(u) && other_port == 0 && state == 7);
    CHECK(!line_about("/proc/net/udp", s, line, sizeof line) && !line_about("/proc/net/unix", s, line, sizeof line));
    struct sockaddr_un place = {AF_UNIX, {0}};
    int n = snprintf(place.sun_path + 1, sizeof place.sun_path - 1, "listed-%d", getpid());
    int x = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(x, (void *)&place, (socklen_t)(sizeof place.sun_family + 1 + n)) == 0 && listen(x, 1) == 0);
    CHECK(line_about("/proc/net/unix", x, line, sizeof line));
    unsigned flags, type, inode;
    CHECK(sscanf(line, "%*x: %*x %*x %x %x %x %u %63s", &flags, &type, &state, &inode, name) == 5);
    CHECK(flags == 0x10000 && type == SOCK_STREAM && state == 1 && name[0] == '@' && strcmp(name + 1, place.sun_path + 1) == 0);
    close(x);
    close(l);
    close(c);
    close(s);
    close(u);
}

static const struct test tests[] = {
    {"list", list}, {"loopback", loopback}, {"unknown", unknown}, {"by library", by_library}, {"listed", listed},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
