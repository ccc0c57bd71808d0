// Many threads at the same sockets of TCP: whatever meets whatever, every call returns, nobody is forgotten by the other
// side, and connections can be made afterwards. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "inet.h"

#include <net/if.h>
#include <pthread.h>
#include <sched.h>

enum { CLIENTS = 4, ACCEPTORS = 3, MIXERS = 3 };

static const double RACE_S = 0.8;

static volatile int stopped;
static int stopping(void) { return __atomic_load_n(&stopped, __ATOMIC_ACQUIRE); }
static void stop(void) { __atomic_store_n(&stopped, 1, __ATOMIC_RELEASE); }

// Threads that have to end soon once they are told to.
static int running;
static void ends(void) { __atomic_fetch_sub(&running, 1, __ATOMIC_ACQ_REL); }
static int all_ended(void) { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) == 0; }

static void launch(int count, void *(*run)(void *))
{
    __atomic_fetch_add(&running, count, __ATOMIC_ACQ_REL);
    for (long i = 0; i < count; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, 0, run, (void *)i) == 0 && pthread_detach(thread) == 0);
    }
}

// What the threads share in a race, and what they count there.
static int listening, shared;
static unsigned port;
static unsigned long good, refused, bad;

static void count(unsigned long *what) { __atomic_fetch_add(what, 1, __ATOMIC_RELAXED); }

static void begin_race(int backlog)
{
    listening = listener(backlog);
    port = port_of(listening);
    stopped = 0;
    good = refused = bad = 0;
    CHECK(set(listening, SO_REUSEADDR, 1) == 0 && set_blocking(listening, 0) == 0);
}

// A listener that is used no more still serves: nothing of the race is left in it.
static void check_serves(int l)
{
    int left;
    while ((left = accept(l, 0, 0)) >= 0)
        close(left);
    int c = connected(SOCK_STREAM, l), s = ACCEPT(l);
    CHECK(same(peer_of(s), name_of(c)));
    CHECK_TALK(c, s);
    close(c);
    close(s);
}

// Two threads connect one socket at the same time: connect(2) makes the connection for one, and for the other as well or it
// is there already (EISCONN).
static pthread_barrier_t barrier;
static int results[2];

static void connect_shared(int which) { results[which] = connect_to(shared, LOOPBACK, port) == 0 ? 0 : errno; }

static void *other_one(void *unused)
{
    for (;;) {
        pthread_barrier_wait(&barrier);
        if (stopping())
            break;
        connect_shared(1);
        pthread_barrier_wait(&barrier);
    }
    ends();
    return unused;
}

static void one_socket_twice(void)
{
    begin_race(10);
    CHECK(pthread_barrier_init(&barrier, 0, 2) == 0);
    launch(1, other_one);
    unsigned rounds = 0;
    for (double end = now_s() + RACE_S; now_s() < end && checks_failed == 0; rounds++) {
        shared = tcp(0);
        pthread_barrier_wait(&barrier);
        connect_shared(0);
        pthread_barrier_wait(&barrier);
        CHECK((results[0] == 0 || results[0] == EISCONN) && (results[1] == 0 || results[1] == EISCONN) && results[0] + results[1] < 2 * EISCONN);
        CHECK(state_of(shared) == TCP_ESTABLISHED && set_abort(shared) == 0);
        int s = ACCEPT(listening);
        CHECK(same(peer_of(s), name_of(shared)) && close(shared) == 0 && close(s) == 0);
        CHECK_ERRNO(accept(listening, 0, 0), EAGAIN);
    }
    CHECK(rounds > 0);
    stop();
    pthread_barrier_wait(&barrier);
    CHECK_SOON(all_ended());
    check_serves(listening);
}

// One thread has just begun to wait for room, when another one ends the attempt: by connect(2) with AF_UNSPEC or shutdown(2).
static void ended_at_once(void)
{
    begin_race(0);
    connected(SOCK_STREAM, listening);
    CHECK(wait_for(listening, POLLIN) == POLLIN && pthread_barrier_init(&barrier, 0, 2) == 0);
    launch(1, other_one);
    unsigned rounds = 0;
    for (double end = now_s() + RACE_S; now_s() < end && checks_failed == 0; rounds++) {
        shared = tcp(0);
        pthread_barrier_wait(&barrier);
        while (state_of(shared) != TCP_SYN_SENT)
            ;
        CHECK((rounds % 2 ? shutdown(shared, SHUT_WR) : disconnect(shared)) == 0);
        pthread_barrier_wait(&barrier);
        CHECK(results[1] == ECONNRESET || results[1] == ECONNABORTED || results[1] == EPIPE);
        CHECK(state_of(shared) == TCP_CLOSE && close(shared) == 0);
    }
    CHECK(rounds > 0);
    stop();
    pthread_barrier_wait(&barrier);
    CHECK_SOON(all_ended());
    close(ACCEPT(listening));
    CHECK_ERRNO(accept(listening, 0, 0), EAGAIN);
    check_serves(listening);
}

// Clients that connect and close at once, half of them with a reset.
static void *client(void *which)
{
    while (!stopping()) {
        int c = tcp(0);
        if (c < 0 || ((long)which % 2 && set_abort(c) != 0))
            count(&bad);
        else if (connect_to(c, LOOPBACK, port) == 0)
            count(&good);
        else
            count(errno == ECONNREFUSED || errno == ECONNRESET ? &refused : &bad);
        close(c);
    }
    ends();
    return 0;
}

// A listener with next to no room, and acceptors who close at once: every client gets in, none is forgotten in the queue.
static void *acceptor(void *unused)
{
    struct pollfd p = {listening, POLLIN, 0};
    while (!stopping() || !all_ended()) {
        int s = poll(&p, 1, 10) > 0 ? accept(listening, 0, 0) : -1;
        if (s >= 0)
            close(s);
    }
    return unused;
}

static void little_room(void)
{
    for (int backlog = 0; backlog < 2; backlog++) {
        begin_race(backlog);
        launch(CLIENTS, client);
        pthread_t acceptors[ACCEPTORS];
        for (int i = 0; i < ACCEPTORS; i++)
            CHECK(pthread_create(&acceptors[i], 0, acceptor, 0) == 0);
        sleep_ms(RACE_S * 1000);
        stop();
        CHECK_SOON(all_ended());
        running = 0; // lest the acceptors stay for who is stuck
        for (int i = 0; i < ACCEPTORS; i++)
            CHECK(pthread_join(acceptors[i], 0) == 0);
        CHECK(good > 0 && refused == 0 && bad == 0);
        check_serves(listening);
        close(listening);
    }
}

// A listener that stops and starts again while clients come: they get in or are refused, and none waits for ever.
static void off_and_on(void)
{
    begin_race(0);
    launch(CLIENTS, client);
    unsigned long rounds = 0;
    double end = now_s() + RACE_S, last = end + PATIENCE_MS / 1000;
    while (now_s() < end || (!all_ended() && now_s() < last)) {
        if (now_s() >= end)
            stop();
        int s = accept(listening, 0, 0);
        if (s >= 0)
            close(s);
        if (++rounds % 3 == 0) {
            shutdown(listening, SHUT_RD);
            listen(listening, 0);
        }
        sched_yield();
    }
    CHECK(all_ended() && bad == 0 && good + refused > 0 && rounds > 0);
    CHECK(listen(listening, 5) == 0 && option(listening, SO_ACCEPTCONN) == 1);
    check_serves(listening);
}

// Threads that connect and disconnect one socket, over and over. Whatever connection was accepted meanwhile has an end once
// the socket is closed, as its other side is gone.
static void *mixer(void *which)
{
    unsigned seed = (long)which * 7919 + 1;
    char buf[4];
    while (!stopping()) {
        seed = seed * 1103515245 + 12345;
        if (seed >> 16 & 1)
            disconnect(shared);
        else if (connect_to(shared, LOOPBACK, port) == 0 || errno == EINPROGRESS)
            count(&good);
        if (seed >> 17 & 1)
            recv(shared, buf, sizeof buf, MSG_DONTWAIT);
        if (seed >> 18 & 1)
            send(shared, "zz", 2, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    ends();
    return 0;
}

static void check_ends(int s)
{
    struct pollfd p = {s, POLLIN, 0};
    char buf[64];
    long got;
    do {
        if (poll(&p, 1, 1000) != 1)
            break;
        got = recv(s, buf, sizeof buf, MSG_DONTWAIT);
    } while (got > 0);
    if (p.revents == 0)
        count(&bad);
    close(s);
}

// With room for all, who are looked at when the race is over; and with little, when they are taken out during it.
static void connections_of_one(void)
{
    static const int rooms[] = {4096, 0, 1};
    for (unsigned i = 0; i < 3; i++) {
        unsigned long accepted = 0, attempts = 0;
        for (double end = now_s() + RACE_S / 2; now_s() < end;) {
            int s, kept[32], first = 0, last = 0;
            begin_race(rooms[i]);
            shared = tcp(SOCK_NONBLOCK);
            launch(MIXERS, mixer);
            for (double round = now_s() + 0.03; now_s() < round;) {
                if (i == 0 || last == 32) {
                    sleep_ms(5);
                } else if ((s = accept(listening, 0, 0)) >= 0) {
                    kept[last++] = s;
                }
            }
            stop();
            CHECK_SOON(all_ended());
            CHECK(close(shared) == 0);
            for (; first < last; first++, accepted++)
                check_ends(kept[first]);
            for (; (s = accept(listening, 0, 0)) >= 0 && bad == 0; accepted++)
                check_ends(s);
            attempts += good;
            CHECK(bad == 0);
            check_serves(listening);
            close(listening);
        }
        CHECK(attempts > 0 && accepted > 0);
    }
}

// What is sent over a connection that both sides give up comes to nobody: not into the next connection of one of them.
static int old_side = -1;

static void *old_sender(void *unused)
{
    while (!stopping()) {
        int fd = __atomic_load_n(&old_side, __ATOMIC_ACQUIRE);
        if (fd >= 0)
            send(fd, "OLD", 3, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    ends();
    return unused;
}

static void old_bytes(void)
{
    char buf[64];
    int other = listener(50), rounds = 0, wrong = 0;
    begin_race(50);
    launch(CLIENTS, old_sender);
    for (double end = now_s() + 3 * RACE_S; now_s() < end; rounds++) {
        int x = connected(SOCK_STREAM, listening), y = ACCEPT(listening);
        __atomic_store_n(&old_side, y, __ATOMIC_RELEASE);
        for (int i = 0; i < 20; i++)
            recv(x, buf, sizeof buf, MSG_DONTWAIT);
        CHECK(disconnect(y) == 0 && disconnect(x) == 0 && connect_to(x, LOOPBACK, port_of(other)) == 0);
        int z = ACCEPT(other);
        for (int i = 0; i < 10; i++, sched_yield())
            wrong += recv(x, buf, sizeof buf, MSG_DONTWAIT) > 0;
        __atomic_store_n(&old_side, -1, __ATOMIC_RELEASE);
        close(x);
        close(y);
        close(z);
    }
    stop();
    CHECK_SOON(all_ended());
    CHECK(rounds > 0 && wrong == 0);
}

// Threads that connect a socket and end that: when it is closed, the ports that it has had are free.
static int kind;

static void *namer(void *unused)
{
    unsigned nobody = 9;
    while (!stopping()) {
        disconnect(shared);
        connect_to(shared, LOOPBACK, nobody);
    }
    ends();
    return unused;
}

static int ports_taken(void)
{
    int taken = 0;
    for (unsigned number = 32768; number < 61000; number++) {
        int fd = socket(AF_INET, kind, 0);
        taken += bind_to(fd, LOOPBACK, number) != 0;
        close(fd);
    }
    return taken;
}

// Where there are network namespaces this process gets one, so that nobody else's ports count; 0 if it may not.
static int alone(void)
{
    if (unshare(CLONE_NEWNET) != 0)
        return errno != EPERM;
    struct ifreq lo = {.ifr_name = "lo"};
    int fd = tcp(0);
    CHECK(ioctl(fd, SIOCGIFFLAGS, &lo) == 0);
    lo.ifr_flags |= IFF_UP;
    CHECK(ioctl(fd, SIOCSIFFLAGS, &lo) == 0 && close(fd) == 0);
    return 1;
}

static void ports_of_one(void)
{
    static const int kinds[] = {SOCK_DGRAM, SOCK_STREAM};
    if (!alone())
        return;
    for (int i = 0; i < 2; i++) {
        kind = kinds[i];
        int before = ports_taken();
        for (int round = 0; round < 3; round++) {
            shared = socket(AF_INET, kind | SOCK_NONBLOCK, 0);
            stopped = 0;
            launch(CLIENTS, namer);
            sleep_ms(200);
            stop();
            CHECK_SOON(all_ended());
            CHECK(close(shared) == 0);
        }
        CHECK_SOON(ports_taken() == before);
    }
}

// Two threads shut a listener down, and one makes a connection by it at once: that is one, or none, for both sides.
static pthread_barrier_t step;

static void *shutter(void *unused)
{
    for (;;) {
        pthread_barrier_wait(&step);
        if (stopping())
            break;
        shutdown(shared, SHUT_RD);
        pthread_barrier_wait(&step);
    }
    ends();
    return unused;
}

static void listener_to_client(void)
{
    int made = 0;
    begin_race(5);
    CHECK(pthread_barrier_init(&step, 0, 2) == 0);
    launch(1, shutter);
    for (double end = now_s() + 2 * RACE_S; now_s() < end;) {
        shared = tcp(0);
        CHECK(listen(shared, 5) == 0);
        pthread_barrier_wait(&step);
        shutdown(shared, SHUT_RD);
        int connects = connect_to(shared, LOOPBACK, port) == 0;
        pthread_barrier_wait(&step);
        if (connects) {
            int s = ACCEPT(listening);
            CHECK(s >= 0 && state_of(shared) != TCP_CLOSE);
            close(s);
            made++;
        }
        close(shared);
    }
    stop();
    pthread_barrier_wait(&step);
    CHECK_SOON(all_ended());
    CHECK(made > 0);
}

static const struct test tests[] = {
    {"one socket twice", one_socket_twice}, {"ended at once", ended_at_once}, {"little room", little_room}, {"off and on", off_and_on},
    {"connections of one", connections_of_one}, {"old bytes", old_bytes}, {"ports of one", ports_of_one},
    {"listener to client", listener_to_client},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
