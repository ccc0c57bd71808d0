// input PATH keyboard|tablet: what the device says it is, as a virtio device of QEMU says it.
// input PATH read REPORTS [grab]: prints what happens to the device, until so many reports have come.
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

// linux/input.h, which not every C library comes with.
struct input_event {
    int64_t sec, usec;
    uint16_t type, code;
    int32_t value;
};
struct input_id {
    uint16_t bus, vendor, product, version;
};
struct input_absinfo {
    int32_t value, minimum, maximum, fuzz, flat, resolution;
};
#define EVIOCGVERSION _IOR('E', 0x01, int)
#define EVIOCGID _IOR('E', 0x02, struct input_id)
#define EVIOCGNAME(len) _IOC(_IOC_READ, 'E', 0x06, len)
#define EVIOCGPROP(len) _IOC(_IOC_READ, 'E', 0x09, len)
#define EVIOCGKEY(len) _IOC(_IOC_READ, 'E', 0x18, len)
#define EVIOCGBIT(type, len) _IOC(_IOC_READ, 'E', 0x20 + (type), len)
#define EVIOCGABS(axis) _IOR('E', 0x40 + (axis), struct input_absinfo)
#define EVIOCGRAB _IOW('E', 0x90, int)
#define EVIOCSCLOCKID _IOW('E', 0xa0, int)
#ifndef _IOC_READ
#define _IOC_READ 2U
#endif
enum { EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_MAX = 0x1f, KEY_ENTER = 28, KEY_A = 30, BTN_LEFT = 0x110, ABS_X = 0, ABS_Y = 1 };

static int has(const unsigned char *bits, unsigned bit)
{
    return bits[bit / 8] >> bit % 8 & 1;
}

static void check_common(const char *path, int fd)
{
    int version, second = open(path, O_RDONLY), coarse = 5;
    struct input_id id;
    char name[64], start[4];
    unsigned char keys[96], few[3] = {0, 0, 0xaa}, bits[8];
    CHECK(ioctl(fd, EVIOCGVERSION, &version) == 0 && version == 0x010001);
    CHECK(ioctl(fd, EVIOCGID, &id) == 0 && id.bus == 0x06 && id.vendor == 0x0627);
    CHECK(ioctl(fd, EVIOCGNAME(sizeof name), name) == (int)strlen(name) + 1 && strstr(name, "QEMU"));
    CHECK(ioctl(fd, EVIOCGNAME(sizeof start), start) == 4 && memcmp(start, name, 4) == 0);
    CHECK(ioctl(fd, EVIOCGPROP(sizeof bits), bits) == 8);
    CHECK(ioctl(fd, EVIOCGKEY(sizeof keys), keys) == 96);
    CHECK(ioctl(fd, EVIOCGKEY(2), few) == 2 && few[2] == 0xaa);
    CHECK(ioctl(fd, EVIOCGBIT(0, sizeof bits), bits) == 8 && has(bits, EV_SYN) && has(bits, EV_KEY));
    CHECK_ERRNO(ioctl(fd, EVIOCGBIT(EV_MAX, sizeof bits), bits), EINVAL);
    CHECK_ERRNO(ioctl(fd, EVIOCGNAME(sizeof name), (char *)8), EFAULT);
    CHECK_ERRNO(ioctl(fd, EVIOCGVERSION, (int *)8), EFAULT);
    CHECK_ERRNO(ioctl(fd, _IO('E', 0xff)), EINVAL);
    CHECK(ioctl(fd, EVIOCSCLOCKID, &(int){CLOCK_MONOTONIC}) == 0);
    CHECK_ERRNO(ioctl(fd, EVIOCSCLOCKID, &coarse), EINVAL);
    // Alone.
    CHECK(second >= 0);
    CHECK_ERRNO(ioctl(fd, EVIOCGRAB, 0), EINVAL);
    CHECK(ioctl(fd, EVIOCGRAB, 1) == 0);
    CHECK_ERRNO(ioctl(second, EVIOCGRAB, 1), EBUSY);
    CHECK_ERRNO(ioctl(second, EVIOCGRAB, 0), EINVAL);
    close(fd);
    CHECK(ioctl(second, EVIOCGRAB, 1) == 0 && ioctl(second, EVIOCGRAB, 0) == 0);
    // Nothing happens to it.
    struct pollfd poll_fd = {.fd = second, .events = POLLIN};
    struct input_event event;
    CHECK(poll(&poll_fd, 1, 50) == 0);
    CHECK(read(second, &event, 0) == 0);
    CHECK_ERRNO(read(second, &event, sizeof event - 1), EINVAL);
    CHECK(fcntl(second, F_SETFL, O_NONBLOCK) == 0);
    CHECK_ERRNO(read(second, &event, sizeof event), EAGAIN);
    CHECK_ERRNO(lseek(second, 0, SEEK_SET), ESPIPE);
    close(second);
}

static void check_keyboard(int fd)
{
    unsigned char keys[96], bits[8];
    struct input_absinfo axis;
    CHECK(ioctl(fd, EVIOCGBIT(EV_KEY, sizeof keys), keys) == 96 && has(keys, KEY_A) && has(keys, KEY_ENTER) && !has(keys, BTN_LEFT));
    CHECK(ioctl(fd, EVIOCGBIT(EV_ABS, sizeof bits), bits) == 8 && !has(bits, ABS_X));
    CHECK_ERRNO(ioctl(fd, EVIOCGABS(ABS_X), &axis), EINVAL);
}

static void check_tablet(int fd)
{
    unsigned char keys[96], bits[8];
    struct input_absinfo axis;
    CHECK(ioctl(fd, EVIOCGBIT(EV_KEY, sizeof keys), keys) == 96 && has(keys, BTN_LEFT) && !has(keys, KEY_A));
    CHECK(ioctl(fd, EVIOCGBIT(EV_ABS, sizeof bits), bits) == 8 && has(bits, ABS_X) && has(bits, ABS_Y) && !has(bits, 2));
    CHECK(ioctl(fd, EVIOCGABS(ABS_Y), &axis) == 0 && axis.minimum == 0 && axis.maximum == 0x7fff);
    CHECK_ERRNO(ioctl(fd, EVIOCGABS(2), &axis), EINVAL);
}

static void read_events(int fd, int reports, int grab)
{
    struct timespec now;
    CHECK(!grab || ioctl(fd, EVIOCGRAB, 1) == 0);
    printf("reading\n");
    fflush(stdout);
    while (reports > 0) {
        struct input_event events[16];
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        CHECK(poll(&poll_fd, 1, -1) == 1 && poll_fd.revents == POLLIN);
        ssize_t len = read(fd, events, sizeof events);
        CHECK(len > 0 && len % sizeof *events == 0);
        clock_gettime(CLOCK_REALTIME, &now);
        for (int at = 0; at < len / (ssize_t)sizeof *events; at++) {
            const struct input_event *event = events + at;
            CHECK(event->sec <= now.tv_sec && event->sec > now.tv_sec - 60 && event->usec >= 0 && event->usec < 1000000);
            printf("event %d %d %d\n", event->type, event->code, event->value);
            reports -= event->type == EV_SYN;
        }
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: input PATH keyboard|tablet|read [REPORTS [grab]]\n");
        return 2;
    }
    int fd = open(argv[1], O_RDONLY);
    CHECK(fd >= 0);
    if (strcmp(argv[2], "read") == 0) {
        read_events(fd, argc > 3 ? atoi(argv[3]) : 1, argc > 4);
    } else {
        strcmp(argv[2], "tablet") == 0 ? check_tablet(fd) : check_keyboard(fd);
        check_common(argv[1], fd);
    }
    return check_result();
}
