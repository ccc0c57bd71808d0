// proc(5): what the files about the system as a whole say, against what system calls say. It is run on Linux too, which is
// the oracle; it needs no rights there.
#define _GNU_SOURCE
#include "slurp.h"
#include "table.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

static void the_system_as_a_whole(void)
{
    struct utsname name;
    struct sysinfo info;
    struct timespec up;
    uname(&name);
    sysinfo(&info);
    clock_gettime(CLOCK_BOOTTIME, &up);
    double seconds, idle, averages[3];
    CHECK(slurp("/proc/uptime", text, sizeof text) > 0 && sscanf(text, "%lf %lf\n", &seconds, &idle) == 2);
    CHECK(seconds - up.tv_sec < 60 && up.tv_sec - seconds < 2 && idle >= 0);
    int running, threads, last;
    CHECK(slurp("/proc/loadavg", text, sizeof text) > 0);
    CHECK(sscanf(text, "%lf %lf %lf %d/%d %d", averages, averages + 1, averages + 2, &running, &threads, &last) == 6);
    CHECK(running >= 1 && threads >= 1 && last >= 1 && averages[0] >= 0 && averages[0] < 10000);
    CHECK(slurp("/proc/meminfo", text, sizeof text) > 0);
    long long total = field("MemTotal:") * 1024, ram = (long long)info.totalram * info.mem_unit;
    CHECK(total > ram - ram / 50 && total < ram + ram / 50);
    CHECK(field("MemFree:") > 0 && field("MemFree:") < field("MemTotal:") && field("MemAvailable:") <= field("MemTotal:"));
    CHECK(field("SwapTotal:") >= field("SwapFree:") && field("SwapFree:") >= 0 && field("Cached:") >= 0);
    CHECK(slurp("/proc/stat", text, sizeof text) > 0);
    CHECK(field("cpu ") >= 0 && field("cpu0 ") >= 0 && field("ctxt ") > 0 && field("processes ") > 0 && field("procs_running ") >= 1);
    long long boot = field("btime ");
    CHECK(boot + up.tv_sec - time(0) < 60 && time(0) - boot - up.tv_sec < 60);
    int cpus = 0, processors = 0;
    for (char *line = text; (line = strstr(line, "\ncpu")); line++)
        cpus++;
    CHECK(slurp("/proc/cpuinfo", text, sizeof text) > 0);
    for (char *line = text; (line = strstr(line, "processor\t: ")); line++)
        processors++;
    CHECK(cpus >= 1 && cpus == processors && strstr(text, "\nflags\t\t: fpu ") && strstr(text, " sse2 ") && strstr(text, "\nvendor_id\t: "));
    snprintf(other, sizeof other, "Linux version %s ", name.release);
    CHECK(slurp("/proc/version", text, sizeof text) > 0 && strncmp(text, other, strlen(other)) == 0);
    CHECK(slurp("/proc/filesystems", text, sizeof text) > 0 && strstr(text, "nodev\tproc\n") && strstr(text, "nodev\ttmpfs\n"));
    CHECK(slurp("/proc/devices", text, sizeof text) > 0 && strstr(text, "Character devices:\n  1 mem\n") && strstr(text, "\n\nBlock devices:\n"));
    CHECK(slurp("/proc/partitions", text, sizeof text) > 0 && strncmp(text, "major minor  #blocks  name\n\n", 28) == 0);
    CHECK(slurp("/proc/cmdline", text, sizeof text) > 0 && slurp("/proc/swaps", text, sizeof text) > 0);
    CHECK(slurp("/proc/mounts", text, sizeof text) > 0 && strstr(text, " /proc proc rw"));
    CHECK(slurp("/proc/self/mountinfo", text, sizeof text) > 0 && strstr(text, " /proc ") && strstr(text, " - proc "));
}

static void values_under_sys(void)
{
    struct utsname name;
    uname(&name);
    snprintf(other, sizeof other, "%s\n", name.nodename);
    CHECK(slurp("/proc/sys/kernel/hostname", text, sizeof text) > 0 && strcmp(text, other) == 0);
    snprintf(other, sizeof other, "%s\n", name.release);
    CHECK(slurp("/proc/sys/kernel/osrelease", text, sizeof text) > 0 && strcmp(text, other) == 0);
    CHECK(slurp("/proc/sys/kernel/ostype", text, sizeof text) == 6 && strcmp(text, "Linux\n") == 0);
    CHECK(slurp("/proc/sys/kernel/pid_max", text, sizeof text) > 0 && atoi(text) > getpid());
    CHECK(slurp("/proc/sys/kernel/ngroups_max", text, sizeof text) > 0 && atoi(text) == 65536);
    CHECK(slurp("/proc/sys/kernel/random/uuid", text, sizeof text) == 37 && slurp("/proc/sys/kernel/random/uuid", other, 64) == 37);
    CHECK(strcmp(text, other) != 0 && text[8] == '-' && text[14] == '4' && text[23] == '-' && text[36] == '\n');
    CHECK(slurp("/proc/sys/kernel/random/boot_id", text, sizeof text) == 37 && slurp("/proc/sys/kernel/random/boot_id", other, 9) == 37);
    CHECK(strcmp(text, other) == 0);
    CHECK(slurp("/proc/sys/vm/overcommit_memory", text, sizeof text) == 2 && isdigit(text[0]));
    CHECK(slurp("/proc/sys/fs/file-max", text, sizeof text) > 0 && atoll(text) >= 1024);
    CHECK(slurp("/proc/sys/fs/pipe-max-size", text, sizeof text) > 0 && atoll(text) >= 65536);
}

// Devices of memory have positions that make no difference.
static void positions(void)
{
    static const char *const names[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        char bytes[4] = {1, 1, 1, 1};
        int fd = open(names[i], O_RDWR);
        CHECK(fd >= 0);
        CHECK(lseek(fd, 1000, SEEK_SET) == 0);
        CHECK(lseek(fd, 0, SEEK_CUR) == 0);
        CHECK(lseek(fd, 0, SEEK_END) == 0);
        CHECK(pread(fd, bytes, 4, 1 << 20) == (i == 0 ? 0 : 4));
        CHECK(i == 0 || i == 3 || (bytes[0] == 0 && bytes[3] == 0));
        if (i == 2)
            CHECK_ERRNO(pwrite(fd, bytes, 4, 1 << 20), ENOSPC);
        else
            CHECK(pwrite(fd, bytes, 4, 1 << 20) == 4);
        close(fd);
    }
}

static const struct test tests[] = {{"system", the_system_as_a_whole}, {"sys", values_under_sys}, {"positions", positions}};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
