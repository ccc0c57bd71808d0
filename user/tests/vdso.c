// The vDSO: found as a C library finds it, and each of its functions beside the system call that it stands for. With the
// argument `set` the clock is set as well, which is not for a machine that somebody uses.
#define _GNU_SOURCE
#include "table.h"

#include <elf.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>

static const uint8_t *base;
static const Elf64_Sym *symbols;
static const char *strings;
static const uint32_t *hash;
static const uint16_t *versions;
static const uint8_t *definitions;

// Looks the object over; null if what a loader needs is not there.
static const void *find_object(void)
{
    base = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
    if (!base)
        return 0;
    const Elf64_Ehdr *header = (const void *)base;
    CHECK(memcmp(header->e_ident, ELFMAG "\2\1\1", 7) == 0 && header->e_type == ET_DYN && header->e_machine == EM_X86_64);
    const Elf64_Phdr *segments = (const void *)(base + header->e_phoff);
    const Elf64_Dyn *dynamic = 0;
    int loads = 0;
    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)(base + segments[i].p_offset);
        if (segments[i].p_type == PT_LOAD) {
            loads++;
            CHECK(segments[i].p_offset == 0 && segments[i].p_vaddr == 0 && segments[i].p_flags == (PF_R | PF_X));
        }
    }
    CHECK(loads == 1 && dynamic != 0);
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        const void *at = base + dynamic->d_un.d_ptr;
        switch (dynamic->d_tag) {
        case DT_SYMTAB: symbols = at; break;
        case DT_STRTAB: strings = at; break;
        case DT_HASH: hash = at; break;
        case DT_VERSYM: versions = at; break;
        case DT_VERDEF: definitions = at; break;
        }
    }
    return symbols && strings ? base : 0;
}

static uint32_t elf_hash(const char *name)
{
    uint32_t sum = 0;
    for (; *name; name++) {
        sum = (sum << 4) + (unsigned char)*name;
        sum ^= sum >> 24 & 0xf0;
    }
    return sum & 0x0fffffff;
}

// Whether version `index` is LINUX_2.6, by name and hash.
static int is_our_version(uint16_t index)
{
    for (const uint8_t *at = definitions;;) {
        const Elf64_Verdef *definition = (const void *)at;
        if (definition->vd_ndx == (index & 0x7fff) && !(definition->vd_flags & VER_FLG_BASE)) {
            const Elf64_Verdaux *name = (const void *)(at + definition->vd_aux);
            return definition->vd_hash == elf_hash("LINUX_2.6") && strcmp(strings + name->vda_name, "LINUX_2.6") == 0;
        }
        if (!definition->vd_next)
            return 0;
        at += definition->vd_next;
    }
}

// By the hash table where there is one of the old kind, as Linux may have the new kind alone.
static void *find(const char *name)
{
    uint32_t count = hash ? hash[1] : 64;
    for (uint32_t i = hash ? hash[2 + elf_hash(name) % hash[0]] : 1; i < count && i != 0; i = hash ? hash[2 + hash[0] + i] : i + 1) {
        if (strcmp(strings + symbols[i].st_name, name) != 0)
            continue;
        CHECK(symbols[i].st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC);
        CHECK(versions && definitions && is_our_version(versions[i]));
        return (void *)(base + symbols[i].st_value);
    }
    return 0;
}

static int64_t ns(struct timespec time) { return time.tv_sec * 1000000000ll + time.tv_nsec; }

static int64_t by_call(int clock)
{
    struct timespec time;
    CHECK(syscall(SYS_clock_gettime, clock, &time) == 0);
    return ns(time);
}

static void clocks(void)
{
    int (*gettime)(clockid_t, struct timespec *) = find("__vdso_clock_gettime");
    CHECK(gettime != 0);
    if (!gettime)
        return;
    static const int exact[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME};
    for (int round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < sizeof exact / sizeof *exact; i++) {
            struct timespec time;
            int64_t before = by_call(exact[i]);
            int result = gettime(exact[i], &time);
            int64_t after = by_call(exact[i]);
            if (result != 0 || ns(time) < before || ns(time) > after || time.tv_nsec < 0 || time.tv_nsec >= 1000000000) {
                printf("clock %d: %lld, not in %lld to %lld\n", exact[i], (long long)ns(time), (long long)before, (long long)after);
                CHECK(!"between two calls");
                return;
            }
        }
    }
    CHECK(1);
    // Coarse ones may lag behind by a tick or a few.
    struct timespec time;
    CHECK(gettime(CLOCK_MONOTONIC_COARSE, &time) == 0 && ns(time) <= by_call(CLOCK_MONOTONIC));
    CHECK(gettime(CLOCK_REALTIME_COARSE, &time) == 0 && ns(time) <= by_call(CLOCK_REALTIME));
    // What it does not know the kernel does.
    CHECK(gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0);
    CHECK(gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    CHECK(gettime(77, &time) == -EINVAL);
    CHECK(gettime(-1000, &time) == -EINVAL);
}

// On whichever CPU it runs, time does not go back.
static void steadiness(void)
{
    int (*gettime)(clockid_t, struct timespec *) = find("__vdso_clock_gettime");
    int64_t *last = shared_page();
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            for (int round = 0; round < 20000; round++) {
                int64_t seen = __atomic_load_n(last, __ATOMIC_SEQ_CST);
                struct timespec time;
                gettime(CLOCK_MONOTONIC, &time);
                CHECK(ns(time) >= seen);
                while (seen < ns(time) && !__atomic_compare_exchange_n(last, &seen, ns(time), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
                }
            }
            child_exit();
        }
    }
    for (int i = 0; i < 4; i++) {
        int status;
        CHECK(wait(&status) > 0 && status == 0);
    }
}

static void times_of_day(void)
{
    int (*gettimeofday_)(struct timeval *, void *) = find("__vdso_gettimeofday");
    time_t (*time_)(time_t *) = find("__vdso_time");
    CHECK(gettimeofday_ && time_);
    if (!gettimeofday_ || !time_)
        return;
    struct timeval day;
    struct { int minutes_west, dst; } zone = {77, 77};
    int64_t before = by_call(CLOCK_REALTIME) / 1000;
    CHECK(gettimeofday_(&day, &zone) == 0 && zone.minutes_west == 0 && zone.dst == 0);
    int64_t now = day.tv_sec * 1000000ll + day.tv_usec;
    CHECK(before <= now && now <= by_call(CLOCK_REALTIME) / 1000 && day.tv_usec < 1000000);
    CHECK(gettimeofday_(0, 0) == 0);
    // time(2) may be a tick late.
    time_t stored = 0, first = by_call(CLOCK_REALTIME_COARSE) / 1000000000, given = time_(&stored);
    CHECK(given == stored && given >= first && given <= by_call(CLOCK_REALTIME) / 1000000000);
    CHECK(time_(0) >= given);
}

static void cpus(void)
{
    long (*getcpu_)(unsigned *, unsigned *, void *) = find("__vdso_getcpu");
    CHECK(getcpu_ != 0);
    cpu_set_t all, one;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    for (unsigned cpu = 0; getcpu_ && cpu < 64; cpu++) {
        if (!CPU_ISSET(cpu, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        unsigned seen = ~0u, node = ~0u;
        CHECK(sched_setaffinity(0, sizeof one, &one) == 0 && getcpu_(&seen, &node, 0) == 0 && seen == cpu && node == 0);
        CHECK(getcpu_(0, 0, 0) == 0);
    }
}

// Setting the clock is seen by programs that run and by those that come, and needs the right.
static void setting(void)
{
    int (*gettime)(clockid_t, struct timespec *) = find("__vdso_clock_gettime");
    int64_t monotonic = by_call(CLOCK_MONOTONIC);
    struct timespec now, later;
    CHECK(gettime(CLOCK_REALTIME, &now) == 0);
    struct timespec wanted = {now.tv_sec + 1000000, 5};
    CHECK(syscall(SYS_clock_settime, CLOCK_REALTIME, &wanted) == 0);
    CHECK(gettime(CLOCK_REALTIME, &later) == 0 && later.tv_sec >= wanted.tv_sec && later.tv_sec < wanted.tv_sec + 100);
    CHECK(by_call(CLOCK_REALTIME) >= ns(later));
    CHECK(gettime(CLOCK_MONOTONIC, &later) == 0 && ns(later) >= monotonic && ns(later) < monotonic + 100000000000);
    struct timeval back = {now.tv_sec, 0};
    CHECK(syscall(SYS_settimeofday, &back, 0) == 0 && gettime(CLOCK_REALTIME, &later) == 0 && later.tv_sec < now.tv_sec + 100);
    wanted.tv_nsec = 1000000000;
    CHECK_ERRNO(syscall(SYS_clock_settime, CLOCK_REALTIME, &wanted), EINVAL);
    CHECK_ERRNO(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &now), EINVAL);
    CHECK_BAD_IN(syscall(SYS_clock_settime, CLOCK_REALTIME, p), 16, 0);
    CHECK_BAD_IN(syscall(SYS_settimeofday, p, 0), 16, 1);
    if (fork() == 0) {
        CHECK(setuid(1000) == 0);
        CHECK_ERRNO(syscall(SYS_clock_settime, CLOCK_REALTIME, &now), EPERM);
        child_exit();
    }
    int status;
    CHECK(wait(&status) > 0 && status == 0);
}

static const struct test tests[] = {
    {"clocks", clocks}, {"steadiness", steadiness}, {"times of day", times_of_day}, {"cpus", cpus}, {"set", setting},
};

int main(int argc, char **argv)
{
    CHECK(find_object() != 0);
    if (checks_failed)
        return check_result();
    char *safe[] = {argv[0], "clocks", "steadiness", "times of day", "cpus", 0};
    int may_set = argc > 1 && strcmp(argv[1], "set") == 0;
    return may_set ? run_table(tests, 5, 1, argv) : run_table(tests, 5, 5, safe);
}
