// Restartable sequences (rseq): registration, what the area says, and what aborts a critical section. The program is its
// own thread library here: it registers areas by itself, as musl does not.
#define _GNU_SOURCE
#include "table.h"

#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
#include <ucontext.h>

enum { SYS_RSEQ = 334, UNREGISTER = 1, SIGNATURE = 0x53053053, LEN = 32, FEATURE_SIZE = 27, ALIGNMENT = 28 };
enum { MEMBARRIER_RSEQ = 1 << 7, MEMBARRIER_REGISTER_RSEQ = 1 << 8, MAX_CPUS = 1024, LINE = 64 };

struct area {
    uint32_t cpu_id_start, cpu_id;
    uint64_t section;
    uint32_t flags, node_id, mm_cid, rest;
} __attribute__((aligned(LEN)));
struct section {
    uint32_t version, flags;
    uint64_t start, length, abort;
} __attribute__((aligned(32)));

// spin: in its section until it is aborted; says so by `inside`. count: adds one to the counter of its CPU, with a pause
// between load and store; 0 if it did, 1 if it was aborted.
__asm__(".text\n.balign 16\n"
        "spin: mov %rsi, 8(%rdi)\n"
        "spin_start: movl $1, (%rdx)\n"
        "1: pause\n"
        "  jmp 1b\n"
        "spin_end: ud2\n"
        "  .long 0x53053053\n"
        "spin_abort: mov $1, %eax\n"
        "  ret\n"
        "  .long 0x12345678\n"
        "spin_bad_abort: mov $2, %eax\n"
        "  ret\n"
        "count: mov %rsi, 8(%rdi)\n"
        "count_start: mov 4(%rdi), %eax\n"
        "  shl $6, %rax\n"
        "  add %rdx, %rax\n"
        "  mov (%rax), %r8\n"
        "2: dec %rcx\n"
        "  jns 2b\n"
        "  inc %r8\n"
        "  mov %r8, (%rax)\n"
        "count_end: xor %eax, %eax\n"
        "  ret\n"
        "  .long 0x53053053\n"
        "count_abort: mov $1, %eax\n"
        "  ret\n");
int spin(struct area *area, const struct section *section, volatile int *inside);
int count(struct area *area, const struct section *section, char *counters, long pause);
extern const char spin_start[], spin_end[], spin_abort[], spin_bad_abort[], count_start[], count_end[], count_abort[];

static struct section section_of(const char *start, const char *end, const char *abort)
{
    return (struct section){0, 0, (uintptr_t)start, (uintptr_t)(end - start), (uintptr_t)abort};
}
static struct section spin_section(void) { return section_of(spin_start, spin_end, spin_abort); }

static struct area own;
static const char *program;
static __thread struct area of_thread;

static int rseq(volatile void *area, unsigned len, int flags, unsigned signature)
{
    return (int)syscall(SYS_RSEQ, area, len, flags, signature);
}
static int enter(struct area *area) { return rseq(area, LEN, 0, SIGNATURE); }
static int leave(struct area *area) { return rseq(area, LEN, UNREGISTER, SIGNATURE); }

static int on_russet(void)
{
    struct utsname name;
    return uname(&name) == 0 && strstr(name.release, "russet") != 0;
}

// The CPUs that this process may use.
static int cpus(int *list)
{
    cpu_set_t set;
    int many = 0;
    sched_getaffinity(0, sizeof set, &set);
    for (int cpu = 0; cpu < MAX_CPUS && cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set))
            list[many++] = cpu;
    return many;
}
static int put_on(pid_t tid, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(tid, sizeof set, &set);
}

static void registration(void)
{
    static struct area longer[2];
    CHECK_ERRNO(rseq(&own, LEN, 2, SIGNATURE), EINVAL);
    CHECK_ERRNO(rseq(&own, LEN, UNREGISTER | 2, SIGNATURE), EINVAL);
    CHECK_ERRNO(leave(&own), EINVAL); // nothing is registered
    CHECK_ERRNO(leave(0), EINVAL);
    CHECK_ERRNO(rseq(&own, LEN - 1, 0, SIGNATURE), EINVAL);
    CHECK_ERRNO(rseq(&own, 0, 0, SIGNATURE), EINVAL);
    CHECK_ERRNO(rseq((char *)&own + 8, LEN, 0, SIGNATURE), EINVAL);
    CHECK_ERRNO(rseq((void *)(bad_addresses[3] - LEN + 32), LEN, 0, SIGNATURE), EFAULT);
    for (unsigned i = 2; i < BAD_COUNT; i++)
        CHECK_ERRNO(rseq((void *)(bad_addresses[i] & -(uintptr_t)LEN), LEN, 0, SIGNATURE), EFAULT);

    own.cpu_id = -1;
    CHECK(enter(&own) == 0 && own.cpu_id != (uint32_t)-1 && own.cpu_id == own.cpu_id_start);
    CHECK_ERRNO(enter(&own), EBUSY);
    CHECK_ERRNO(rseq(&own, LEN, 0, SIGNATURE + 1), EPERM);
    CHECK_ERRNO(rseq(&own, LEN * 2, 0, SIGNATURE), EINVAL);
    CHECK_ERRNO(enter(&longer[0]), EINVAL);
    CHECK_ERRNO(rseq(&own, LEN, UNREGISTER, SIGNATURE + 1), EPERM);
    CHECK_ERRNO(rseq(&own, LEN * 2, UNREGISTER, SIGNATURE), EINVAL);
    CHECK_ERRNO(leave(&longer[0]), EINVAL);
    CHECK(leave(&own) == 0);
    CHECK(own.cpu_id == (uint32_t)-1 && own.cpu_id_start == 0 && own.mm_cid == 0 && own.node_id == 0);
    CHECK_ERRNO(leave(&own), EINVAL);
    // A longer one, as a later library may have it, and any signature.
    CHECK(rseq(longer, sizeof longer, 0, 7) == 0 && longer[0].cpu_id != (uint32_t)-1);
    CHECK(rseq(longer, sizeof longer, UNREGISTER, 7) == 0);
    unsigned long size = getauxval(FEATURE_SIZE), alignment = getauxval(ALIGNMENT);
    CHECK(on_russet() ? size == 28 && alignment == 32 : size == 0 || (size >= 20 && alignment >= 32));
}

// A bad area ends the program, at once or when it is next to be written.
static void bad_areas(void)
{
    char *page = mmap(0, TEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *bad[] = {0, hole(), read_only()};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            int result = enter(bad[i]);
            _exit(result == -1 && errno == EFAULT ? 44 : 1);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        CHECK(status == 44 << 8 || status == SIGSEGV);
    }
    pid_t pid = fork();
    if (pid == 0) {
        enter((struct area *)page);
        mprotect(page, TEST_PAGE, PROT_NONE);
        for (;;)
            usleep(1000);
    }
    CHECK_CHILD(pid, SIGSEGV);
}

static void says_where_it_runs(void)
{
    static int list[MAX_CPUS];
    int many = cpus(list);
    unsigned long size = getauxval(FEATURE_SIZE);
    CHECK(enter(&own) == 0);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < many && i < 8; i++) {
            unsigned cpu = 99, node = 99;
            CHECK(put_on(0, list[i]) == 0);
            CHECK(own.cpu_id == (unsigned)list[i] && own.cpu_id_start == (unsigned)list[i]);
            syscall(SYS_getcpu, &cpu, &node, 0);
            CHECK(cpu == own.cpu_id);
            if (size >= 24)
                CHECK(own.node_id == node);
            if (size >= 28)
                CHECK(own.mm_cid < MAX_CPUS);
            sleep_ms(1);
            CHECK(own.cpu_id == (unsigned)list[i]);
        }
    CHECK(leave(&own) == 0);
}

static void *has_none(void *arg)
{
    CHECK_ERRNO(leave(&own), EINVAL);
    CHECK(enter(&of_thread) == 0 && of_thread.cpu_id != (uint32_t)-1);
    return arg;
}

// fork inherits it; threads, vfork's children and new programs begin without.
static void who_has_it(void)
{
    CHECK(enter(&own) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        static int list[MAX_CPUS];
        int many = cpus(list);
        CHECK(own.cpu_id != (uint32_t)-1 && put_on(0, list[many - 1]) == 0 && own.cpu_id == (unsigned)list[many - 1]);
        CHECK_ERRNO(enter(&own), EBUSY);
        CHECK(leave(&own) == 0);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    pthread_t thread;
    pthread_create(&thread, 0, has_none, 0);
    pthread_join(thread, 0);
    static volatile int left;
    pid = vfork();
    if (pid == 0) {
        left = leave(&own);
        _exit(0);
    }
    CHECK(left == -1);
    CHECK_CHILD(pid, 0);
    CHECK_ERRNO(enter(&own), EBUSY);
    pid = fork();
    if (pid == 0) {
        execl(program, program, "executed", (char *)0);
        _exit(9);
    }
    CHECK_CHILD(pid, 0);
    CHECK(leave(&own) == 0);
}

static volatile int inside;
static volatile uint64_t handler_rip, handler_section;
static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    handler_rip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    handler_section = of_thread.section;
}

static void handle(int signal)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(signal, &action, 0);
}

// Spins in a section; the result is where it was aborted to.
static void *spinner(void *section)
{
    if (enter(&of_thread) != 0)
        return (void *)99;
    intptr_t result = spin(&of_thread, section, &inside);
    return (void *)(of_thread.section == 0 ? result : 98);
}
static void await_inside(void)
{
    while (!inside)
        sched_yield();
}

static void *spins_with_signals(void *section)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, 0);
    return spinner(section);
}

// A timer's signals come to one that spins while nobody else wants to run.
static void aborted_by_a_signal(void)
{
    struct section section = spin_section();
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec often = {{0, 2000000}, {0, 2000000}};
    sigset_t set;
    timer_t timer;
    int in_section = 0;
    handle(SIGUSR1);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, 0);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &often, 0) == 0);
    for (int i = 0; i < 30 || (in_section == 0 && i < 3000); i++) {
        pthread_t thread;
        void *result;
        handler_rip = 0;
        pthread_create(&thread, 0, spins_with_signals, &section);
        pthread_join(thread, &result);
        CHECK(result == (void *)1);
        // The handler is to come back to the abort address, and sees no section; unless the thread was preempted before.
        in_section += handler_rip == (uintptr_t)spin_abort;
        CHECK(handler_section == 0 && handler_rip - (uintptr_t)spin_start >= (uintptr_t)(spin_end - spin_start));
    }
    CHECK(in_section > 0);
    timer_delete(timer);
}

static void *spins_with_tid(void *tid)
{
    struct section section = spin_section();
    *(volatile pid_t *)tid = (pid_t)syscall(SYS_gettid);
    return spinner(&section);
}

static void aborted_by_migration(void)
{
    static int list[MAX_CPUS];
    int many = cpus(list);
    for (int i = 0; i < 20 && many > 1; i++) {
        volatile pid_t tid = 0;
        pthread_t thread;
        void *result;
        inside = 0;
        pthread_create(&thread, 0, spins_with_tid, (void *)&tid);
        await_inside();
        // One of the two is another one; the thread may be gone already, when it was the first or others came between.
        for (int j = 0; j < 2; j++)
            CHECK(put_on(tid, list[(i + j) % many]) == 0 || errno == ESRCH);
        pthread_join(thread, &result);
        CHECK(result == (void *)1);
    }
}

// Two on one CPU: whoever runs next aborts the other's section.
static void aborted_by_preemption(void)
{
    static int list[MAX_CPUS];
    struct section section = spin_section();
    cpus(list);
    CHECK(put_on(0, list[0]) == 0);
    for (int i = 0; i < 10; i++) {
        pthread_t threads[2];
        void *results[2];
        for (int j = 0; j < 2; j++)
            pthread_create(&threads[j], 0, spinner, &section);
        pthread_join(threads[0], &results[0]);
        // The last one has nobody to be preempted by.
        pid_t pid = fork();
        if (pid == 0) {
            double until = now_s() + 0.05;
            while (now_s() < until)
                ;
            _exit(0);
        }
        pthread_join(threads[1], &results[1]);
        CHECK(results[0] == (void *)1 && results[1] == (void *)1);
        CHECK_CHILD(pid, 0);
    }
}

// membarrier(2) aborts every section of the process, wherever it runs.
static void aborted_by_a_barrier(void)
{
    long can = syscall(SYS_membarrier, 0, 0, 0);
    CHECK(can >= 0 || !on_russet());
    if (can < 0 || (can & MEMBARRIER_RSEQ) == 0)
        return;
    struct section section = spin_section();
    CHECK(syscall(SYS_membarrier, MEMBARRIER_REGISTER_RSEQ, 0, 0) == 0);
    CHECK_ERRNO(syscall(SYS_membarrier, MEMBARRIER_RSEQ, 2, 0), EINVAL);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        void *result;
        inside = 0;
        pthread_create(&thread, 0, spinner, &section);
        await_inside();
        CHECK(syscall(SYS_membarrier, MEMBARRIER_RSEQ, 0, 0) == 0);
        pthread_join(thread, &result);
        CHECK(result == (void *)1);
    }
}

// What is no section, or leads to where no signature stands, ends the program.
static void bad_sections(void)
{
    struct section sound = spin_section();
    struct section bad[] = {sound, sound, sound, sound, sound, sound};
    bad[0].abort = (uintptr_t)spin_bad_abort;
    bad[1].version = 1;
    bad[2].abort = (uintptr_t)spin_start;
    bad[3].abort = 0xffffffff80000000;
    bad[4].length = 0x800000000000;
    bad[5].abort = (uintptr_t)hole();
    for (unsigned i = 0; i < sizeof bad / sizeof *bad + 2; i++) {
        volatile int *is_inside = shared_page();
        pid_t pid = fork();
        if (pid == 0) {
            const struct section *section = i < 6 ? &bad[i] : i == 6 ? (void *)hole() : (void *)bad_addresses[4];
            handle(SIGUSR1);
            enter(&of_thread);
            spin(&of_thread, section, is_inside);
            _exit(1);
        }
        // It may be preempted, and so ended, before it is inside.
        siginfo_t end = {0};
        while (!*is_inside && waitid(P_PID, pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid == 0)
            sched_yield();
        kill(pid, SIGUSR1);
        CHECK_CHILD(pid, SIGSEGV);
        munmap((void *)is_inside, TEST_PAGE);
    }
}

// A counter for each CPU, which only sections keep right: twice as many threads as CPUs, moved about, with signals.
enum { MOST_THREADS = 16 };
static char *counters;
static volatile int stop;
static struct counting { volatile pid_t tid; long committed, aborted, wrong; } countings[MOST_THREADS];

static void *counter(void *arg)
{
    struct counting *self = arg;
    struct section section = section_of(count_start, count_end, count_abort);
    self->wrong += enter(&of_thread) != 0;
    self->tid = (pid_t)syscall(SYS_gettid);
    for (long i = 0; !stop; i++) {
        if (count(&of_thread, &section, counters, i % 7 * 20) == 0)
            self->committed++;
        else
            self->aborted++;
        if (i % 512 == 0)
            sched_yield();
    }
    self->wrong += leave(&of_thread) != 0;
    return arg;
}

static void nothing(int signal) { (void)signal; }

static void per_cpu_counters(void)
{
    static int list[MAX_CPUS];
    int many = cpus(list), threads = 2 * many < MOST_THREADS ? 2 * many : MOST_THREADS, last = list[many - 1] + 1;
    counters = mmap(0, (size_t)last * LINE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &action, 0);
    pthread_t ids[MOST_THREADS];
    for (int i = 0; i < threads; i++)
        pthread_create(&ids[i], 0, counter, &countings[i]);
    for (int i = 0; i < threads; i++)
        while (countings[i].tid == 0)
            sched_yield();
    cpu_set_t all;
    sched_getaffinity(0, sizeof all, &all);
    double until = now_s() + 1.0;
    for (unsigned i = 0; now_s() < until; i++) {
        pid_t tid = countings[i % threads].tid;
        if (i % 3 == 0)
            put_on(tid, list[i / 3 % many]);
        else if (i % 3 == 1)
            pthread_kill(ids[i % threads], SIGUSR2);
        else
            sched_setaffinity(tid, sizeof all, &all);
        if (i % 8 == 0)
            usleep(500);
    }
    stop = 1;
    long committed = 0, counted = 0, aborted = 0, wrong = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], 0);
        committed += countings[i].committed;
        aborted += countings[i].aborted;
        wrong += countings[i].wrong;
    }
    for (int cpu = 0; cpu < last; cpu++)
        counted += *(long *)(counters + (size_t)cpu * LINE);
    printf("%d threads on %d CPUs: %ld counted, %ld aborted\n", threads, many, committed, aborted);
    CHECK(counted == committed && committed > 0 && wrong == 0);
    CHECK(aborted > 0);
}

static const struct test tests[] = {
    {"registration", registration},
    {"bad areas", bad_areas},
    {"says where it runs", says_where_it_runs},
    {"who has it", who_has_it},
    {"aborted by a signal", aborted_by_a_signal},
    {"aborted by migration", aborted_by_migration},
    {"aborted by preemption", aborted_by_preemption},
    {"aborted by a barrier", aborted_by_a_barrier},
    {"bad sections", bad_sections},
    {"per-CPU counters", per_cpu_counters},
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "executed") == 0)
        return enter(&own) != 0; // free, so that it can be taken
    program = argv[0];
    errno = 0;
    if (rseq(0, 0, 0, 0) == -1 && errno == ENOSYS && !on_russet()) {
        printf("this Linux has no rseq\n1 passed, 0 failed\n");
        return 0;
    }
    return RUN_TABLE(tests);
}
