// Corners of TCP and UDP over the loopback: attempts to connect that wait, are given up, interrupted or shared by threads;
// sockets that are used for one connection after another; who may share a port. Run on Linux too, which is the oracle:
// there a client that found no room asks again after a second, hence what waits here.
#define _GNU_SOURCE
#include "inet.h"

#include <pthread.h>

enum { ASLEEP_MS = 50, ASKED_AGAIN_MS = 1300, FORGOTTEN = 2000, OTHER_USER = 1000, EVERY = 0xffff };

static int udp(int flags) { return socket(AF_INET, SOCK_DGRAM | flags, 0); }

// A client that waits for room at a full listener: tcp(7) keeps it in SYN_SENT.
static int waiting_at(int l)
{
    int fd = tcp(SOCK_NONBLOCK);
    CHECK_ERRNO(connect_to(fd, LOOPBACK, port_of(l)), EINPROGRESS);
    CHECK(state_of(fd) == TCP_SYN_SENT && events_of(fd) == 0);
    return fd;
}

// A call in a thread of its own, which is likely asleep when `start` returns.
struct call {
    pthread_t thread;
    long (*run)(struct call *);
    int fd;
    unsigned port;
    long result;
    int error;
    volatile int done;
};

static long do_connect(struct call *c) { return connect_to(c->fd, LOOPBACK, c->port); }

static long do_receive(struct call *c)
{
    char byte;
    return recv(c->fd, &byte, 1, 0);
}

static long do_send(struct call *c) { return send(c->fd, "early", 5, MSG_NOSIGNAL); }

static long do_send_much(struct call *c)
{
    static char block[65536];
    long sent;
    while ((sent = send(c->fd, block, sizeof block, MSG_NOSIGNAL)) >= 0)
        ;
    return sent;
}

static void *run_call(void *argument)
{
    struct call *c = argument;
    errno = 0;
    c->result = c->run(c);
    c->error = errno;
    __atomic_store_n(&c->done, 1, __ATOMIC_RELEASE);
    return 0;
}

static void start(struct call *c)
{
    c->done = 0;
    CHECK(pthread_create(&c->thread, 0, run_call, c) == 0);
    sleep_ms(ASLEEP_MS);
}

static void start_connect(struct call *c, int fd, int l)
{
    *c = (struct call){.run = do_connect, .fd = fd, .port = port_of(l)};
    start(c);
    CHECK_SOON(state_of(fd) == TCP_SYN_SENT);
    CHECK(!c->done);
}

static int has_result(struct call *c, long result, int error)
{
    return c->done && c->result == result && (result >= 0 || c->error == error);
}

// What a sleeper is told whose connection is taken away: the one or the other, by what it did.
static int was_cut(struct call *c) { return has_result(c, -1, ECONNRESET) || has_result(c, -1, EPIPE) || has_result(c, -1, ECONNABORTED); }

// The call returns soon, with this.
#define CHECK_RETURNS(c, how)                                                                                          \
    do {                                                                                                               \
        CHECK_SOON(__atomic_load_n(&(c)->done, __ATOMIC_ACQUIRE));                                                     \
        CHECK(how);                                                                                                    \
    } while (0)

static pid_t as_other_user(void)
{
    pid_t pid = fork();
    if (pid == 0)
        CHECK(setgid(OTHER_USER) == 0 && setuid(OTHER_USER) == 0);
    return pid;
}

static int sharing(int type)
{
    int fd = socket(AF_INET, type, 0);
    CHECK(fd >= 0 && set(fd, SO_REUSEPORT, 1) == 0);
    return fd;
}

// socket(7), SO_REUSEPORT: to prevent hijacking, all who bind to the address must have the same effective user.
static void other_users(void)
{
    if (geteuid() != 0)
        return;
    volatile unsigned *ports = shared_page();
    pid_t child = as_other_user();
    if (child == 0) {
        int chosen = sharing(SOCK_STREAM), named = sharing(SOCK_STREAM), datagrams = sharing(SOCK_DGRAM);
        CHECK(listen(chosen, 5) == 0 && bind_to(named, LOOPBACK, 0) == 0 && listen(named, 5) == 0);
        CHECK(connect_to(datagrams, LOOPBACK, 9) == 0);
        ports[0] = port_of(chosen), ports[1] = port_of(named), ports[2] = port_of(datagrams);
        CHECK(bind_to(sharing(SOCK_STREAM), ANY, ports[0]) == 0 && bind_to(sharing(SOCK_STREAM), LOOPBACK, ports[1]) == 0);
        ports[3] = checks_failed + 1;
        fflush(stdout);
        pause();
    }
    CHECK_SOON(ports[3] != 0);
    CHECK(ports[3] == 1);
    for (int i = 0; i < 2; i++)
        for (int any = 0; any < 2; any++)
            CHECK_ERRNO(bind_to(sharing(SOCK_STREAM), any ? ANY : LOOPBACK, ports[i]), EADDRINUSE);
    CHECK_ERRNO(bind_to(sharing(SOCK_DGRAM), ANY, ports[2]), EADDRINUSE);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK_CHILD(child, SIGKILL);
    // Who made the socket counts, not who binds it.
    int first = sharing(SOCK_STREAM), second = sharing(SOCK_STREAM);
    child = as_other_user();
    if (child == 0) {
        CHECK(bind_to(first, LOOPBACK, 0) == 0 && bind_to(second, LOOPBACK, port_of(first)) == 0);
        CHECK_ERRNO(bind_to(sharing(SOCK_STREAM), LOOPBACK, port_of(first)), EADDRINUSE);
        child_exit();
    }
    CHECK_CHILD(child, 0);
}

// connect(2): a stream socket can be disconnected, and connected anew. What becomes of the old connection is no concern of
// the new one.
static void anew(void)
{
    int l = listener(5), l2 = listener(5);
    for (int how = 0; how < 4; how++) {
        int c = connected(SOCK_STREAM, l), old = ACCEPT(l);
        char buf[8];
        if (how == 0)
            CHECK(write(old, "stale", 5) == 5 && wait_for(c, POLLIN) == POLLIN);
        CHECK(disconnect(c) == 0 && !has_peer(c) && state_of(c) == TCP_CLOSE);
        CHECK(connect_to(c, LOOPBACK, port_of(l2)) == 0);
        int s = ACCEPT(l2);
        if (how == 1)
            shutdown(old, SHUT_RDWR);
        else if (how == 2)
            set_abort(old);
        else if (how == 3)
            send(old, "late", 4, MSG_NOSIGNAL);
        CHECK(close(old) == 0);
        sleep_ms(ASLEEP_MS);
        CHECK(events_of(c) == OUT && events_of(s) == OUT && option(c, SO_ERROR) == 0 && option(s, SO_ERROR) == 0);
        CHECK(same(peer_of(s), name_of(c)) && same(peer_of(c), name_of(s)));
        CHECK_TALK(c, s);
        CHECK(close(c) == 0 && wait_for(s, POLLIN) == POLLIN && read(s, buf, 8) == 0 && close(s) == 0);
    }
}

// Who waits for room and gives up is forgotten: the listener never accepts a connection of it, and what the listener does
// has no effect on it.
static void given_up(void)
{
    enum { CONNECTS, LISTENS, OUTLIVES, RESTS, ABORTS, CLOSES, SHUTS, MANY, WAYS };
    int l[WAYS], c[WAYS], elsewhere = listener(5), s[WAYS];
    for (int i = 0; i < WAYS; i++) {
        l[i] = full_listener();
        for (int j = 1; i == MANY && j < FORGOTTEN; j++)
            close(waiting_at(l[i]));
        c[i] = waiting_at(l[i]);
        if (i == CONNECTS || i == OUTLIVES) {
            CHECK(disconnect(c[i]) == 0 && state_of(c[i]) == TCP_CLOSE && set_blocking(c[i], 1) == 0);
            CHECK(connect_to(c[i], LOOPBACK, port_of(elsewhere)) == 0);
            s[i] = ACCEPT(elsewhere);
        } else if (i == LISTENS) {
            CHECK(disconnect(c[i]) == 0 && bind_to(c[i], LOOPBACK, 0) == 0 && listen(c[i], 5) == 0);
        } else if (i == RESTS || i == SHUTS) {
            CHECK((i == RESTS ? disconnect(c[i]) : shutdown(c[i], SHUT_WR)) == 0);
        } else {
            CHECK((i != ABORTS || set_abort(c[i]) == 0) && close(c[i]) == 0);
        }
        close(i == OUTLIVES ? l[i] : ACCEPT(l[i]));
    }
    sleep_ms(ASKED_AGAIN_MS);
    for (int i = 0; i < WAYS; i++) {
        if (i != OUTLIVES)
            CHECK_ERRNO(accept(l[i], 0, 0), EAGAIN);
        if (i == CONNECTS || i == OUTLIVES) {
            char buf[8];
            CHECK(events_of(c[i]) == OUT && events_of(s[i]) == OUT && state_of(c[i]) == TCP_ESTABLISHED);
            CHECK_TALK(c[i], s[i]);
            CHECK(close(c[i]) == 0 && wait_for(s[i], POLLIN) == POLLIN && read(s[i], buf, 8) == 0);
        } else if (i == LISTENS) {
            CHECK(state_of(c[i]) == TCP_LISTEN && events_of(c[i]) == 0);
            int client = connected(SOCK_STREAM, c[i]);
            CHECK_TALK(client, ACCEPT(c[i]));
        } else if (i == RESTS || i == SHUTS) {
            CHECK(state_of(c[i]) == TCP_CLOSE && !has_peer(c[i]));
        }
    }
    // There is room again.
    int client = connected(SOCK_STREAM, l[MANY]);
    CHECK_TALK(client, ACCEPT(l[MANY]));
}

// epoll(7): an edge is reported when what the socket is ready for changes, however it comes about.
static void edges(void)
{
    int l = listener(5), closed = bound(SOCK_STREAM, LOOPBACK), full = full_listener();
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET}, got;
    for (int kind = 0; kind < 3; kind++) {
        int epoll = epoll_create1(0), c = tcp(kind == 0 ? 0 : SOCK_NONBLOCK);
        CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, c, &event) == 0);
        CHECK(epoll_wait(epoll, &got, 1, 0) == 1 && got.events == (EPOLLOUT | EPOLLHUP) && epoll_wait(epoll, &got, 1, 0) == 0);
        if (kind == 0)
            CHECK(connect_to(c, LOOPBACK, port_of(l)) == 0);
        else
            CHECK_ERRNO(connect_to(c, LOOPBACK, port_of(kind == 1 ? l : closed)), EINPROGRESS);
        CHECK(epoll_wait(epoll, &got, 1, PATIENCE_MS) == 1);
        CHECK(got.events == (kind < 2 ? EPOLLOUT : EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR | EPOLLHUP));
    }
    // A listener has one when somebody is admitted who waited, and so has who is admitted.
    int epoll = epoll_create1(0), c = waiting_at(full);
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, full, &event) == 0);
    CHECK(epoll_wait(epoll, &got, 1, 0) == 1 && got.events == EPOLLIN && epoll_wait(epoll, &got, 1, 0) == 0);
    int of_client = epoll_create1(0);
    CHECK(epoll_ctl(of_client, EPOLL_CTL_ADD, c, &event) == 0 && epoll_wait(of_client, &got, 1, 0) == 0);
    ACCEPT(full);
    CHECK(epoll_wait(epoll, &got, 1, PATIENCE_MS) == 1 && got.events == EPOLLIN);
    CHECK(epoll_wait(of_client, &got, 1, PATIENCE_MS) == 1 && got.events == EPOLLOUT);
    CHECK_TALK(c, ACCEPT(full));
}

// Threads that connect one socket get to the same connection, and who sends before it is made waits for it.
static void together(void)
{
    int full = full_listener(), c = tcp(0), l = full_listener();
    struct call first, second, sender = {.run = do_send, .fd = c};
    char buf[8];
    start_connect(&first, c, full);
    start_connect(&second, c, full);
    start(&sender);
    CHECK(!first.done && !second.done && !sender.done);
    ACCEPT(full);
    CHECK_RETURNS(&first, has_result(&first, 0, 0));
    CHECK_RETURNS(&second, has_result(&second, 0, 0));
    CHECK_RETURNS(&sender, has_result(&sender, 5, 0));
    int s = ACCEPT(full);
    CHECK_TEXT(recv(s, buf, 8, 0), buf, "early");
    CHECK_TALK(c, s);
    // None of them sleeps on when nobody listens any more; one at least is told why.
    c = tcp(0);
    start_connect(&first, c, l);
    start_connect(&second, c, l);
    close(l);
    CHECK_RETURNS(&first, first.result == -1);
    CHECK_RETURNS(&second, second.result == -1);
    CHECK(has_result(&first, -1, ECONNREFUSED) || has_result(&second, -1, ECONNREFUSED));
}

// shutdown(2) while connecting, in whatever direction, ends the attempt. Another one can be made.
static void shut_early(void)
{
    int full = full_listener(), l = listener(5);
    for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
        int c = waiting_at(full);
        CHECK(shutdown(c, how) == 0 && state_of(c) == TCP_CLOSE && (events_of(c) & POLLHUP));
        CHECK(option(c, SO_ERROR) == ECONNRESET && option(c, SO_ERROR) == 0 && events_of(c) == (OUT | POLLHUP) && !has_peer(c));
        CHECK_ERRNO(connect_to(c, LOOPBACK, port_of(l)), EINPROGRESS);
        CHECK(wait_for(c, POLLOUT) == POLLOUT && option(c, SO_ERROR) == 0);
        CHECK_TALK(c, ACCEPT(l));
        // Who sleeps in it is told.
        struct call sleeper;
        c = tcp(0);
        start_connect(&sleeper, c, full);
        CHECK(shutdown(c, how) == 0);
        CHECK_RETURNS(&sleeper, was_cut(&sleeper));
        CHECK(connect_to(c, LOOPBACK, port_of(l)) == 0);
        CHECK_TALK(c, ACCEPT(l));
    }
}

// Nor does anybody sleep on whose socket another thread disconnects.
static void cut_off(void)
{
    static long (*const calls[])(struct call *) = {do_receive, do_send_much, do_receive, do_send, do_connect};
    int full = full_listener(), l = listener(5);
    for (int i = 0; i < 5; i++) {
        int c = i < 2 ? connected(SOCK_STREAM, l) : i < 4 ? waiting_at(full) : tcp(0);
        struct call sleeper = {.run = calls[i], .fd = c, .port = port_of(full)};
        CHECK(set_blocking(c, 1) == 0);
        start(&sleeper);
        if (i == 1)
            CHECK_SOON(events_of(c) == 0);
        CHECK(!sleeper.done && disconnect(c) == 0);
        CHECK_RETURNS(&sleeper, was_cut(&sleeper));
        CHECK(state_of(c) == TCP_CLOSE && !has_peer(c));
        if (i < 2)
            close(ACCEPT(l));
        CHECK(connect_to(c, LOOPBACK, port_of(l)) == 0);
        CHECK_TALK(c, ACCEPT(l));
    }
}

static volatile int stay_in_handler;
static void count_and_stay(int number)
{
    count_signal(number);
    while (stay_in_handler)
        sleep_ms(1);
}

// What goes on after a call that did not see the end of it: EALREADY until the connection is made, then success for once.
static void check_goes_on(int c, int full)
{
    CHECK(state_of(c) == TCP_SYN_SENT && !has_peer(c) && set_blocking(c, 0) == 0);
    CHECK_ERRNO(connect_to(c, LOOPBACK, port_of(full)), EALREADY);
    ACCEPT(full);
    CHECK(wait_for(c, POLLOUT) == POLLOUT && connect_to(c, LOOPBACK, port_of(full)) == 0);
    CHECK_ERRNO(connect_to(c, LOOPBACK, port_of(full)), EISCONN);
    CHECK_TALK(c, ACCEPT(full));
}

// signal(7): a handler interrupts connect (EINTR), which goes on in the background; with SA_RESTART it is waited for on.
// socket(7), SO_SNDTIMEO: the time is up with EINPROGRESS.
static void interrupted(void)
{
    struct sigaction action = {.sa_handler = count_and_stay};
    struct call sleeper;
    int full = full_listener(), c = tcp(0);
    sigaction(SIGUSR1, &action, 0);
    start_connect(&sleeper, c, full);
    CHECK(pthread_kill(sleeper.thread, SIGUSR1) == 0);
    CHECK_RETURNS(&sleeper, has_result(&sleeper, -1, EINTR) && signals_caught == 1);
    check_goes_on(c, full);
    c = tcp(0);
    full = full_listener();
    CHECK(set_limit(c, SO_SNDTIMEO, 40) == 0);
    double begin = now_s();
    CHECK_ERRNO(connect_to(c, LOOPBACK, port_of(full)), EINPROGRESS);
    CHECK_ERRNO(connect_to(c, LOOPBACK, port_of(full)), EALREADY);
    CHECK(now_s() - begin >= 0.079);
    check_goes_on(c, full);
    // Made after the handler, and while it runs.
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, 0);
    for (int stays = 0; stays < 2; stays++) {
        c = tcp(0);
        full = full_listener();
        start_connect(&sleeper, c, full);
        signals_caught = 0;
        stay_in_handler = stays;
        CHECK(pthread_kill(sleeper.thread, SIGUSR1) == 0);
        CHECK_SOON(signals_caught == 1);
        sleep_ms(ASLEEP_MS);
        CHECK(!sleeper.done);
        ACCEPT(full);
        CHECK(wait_for(c, POLLOUT) == POLLOUT);
        stay_in_handler = 0;
        CHECK_RETURNS(&sleeper, has_result(&sleeper, 0, 0));
        CHECK_TALK(c, ACCEPT(full));
    }
}

// listen(2) of who listens already changes the room there is.
static void more_room(void)
{
    int full = full_listener(), c[3], count = 0;
    for (int i = 0; i < 3; i++)
        c[i] = waiting_at(full);
    CHECK(listen(full, 10) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(wait_for(c[i], POLLOUT) == POLLOUT && has_peer(c[i]));
    for (; count < 4; count++)
        ACCEPT(full);
    CHECK_ERRNO(accept(full, 0, 0), EAGAIN);
}

// tcp(7)'s states: once both ways are shut, or after a reset, there is no connection whose peer had a name.
static void endings(void)
{
    for (int kind = 0; kind < 3; kind++) {
        int s[2];
        tcp_pair(s);
        if (kind == 0) {
            CHECK(shutdown(s[0], SHUT_RDWR) == 0);
            CHECK_SOON(state_of(s[0]) == TCP_FIN_WAIT2 && state_of(s[1]) == TCP_CLOSE_WAIT);
            CHECK(has_peer(s[0]) && has_peer(s[1]) && close(s[1]) == 0);
        } else if (kind == 1) {
            CHECK(shutdown(s[0], SHUT_WR) == 0);
            CHECK_SOON(state_of(s[0]) == TCP_FIN_WAIT2 && state_of(s[1]) == TCP_CLOSE_WAIT);
            CHECK(shutdown(s[1], SHUT_WR) == 0);
        } else {
            CHECK(set_abort(s[1]) == 0 && close(s[1]) == 0);
        }
        for (int i = 0; i <= (kind == 1); i++) {
            CHECK_SOON(state_of(s[i]) == TCP_CLOSE);
            CHECK(!has_peer(s[i]) && (events_of(s[i]) & POLLHUP));
            for (int how = SHUT_RD; how <= SHUT_RDWR; how++)
                CHECK_ERRNO(shutdown(s[i], how), ENOTCONN);
            CHECK(option(s[i], SO_ERROR) == (kind == 2 ? ECONNRESET : 0));
        }
    }
}

// connect(2), poll(2): a refused attempt is an error and the end of both ways; once the error was taken, the end is left.
static void refused(void)
{
    int closed = bound(SOCK_STREAM, LOOPBACK), c = tcp(SOCK_NONBLOCK), ends = IN | OUT | POLLRDHUP | POLLHUP;
    char byte = 0;
    CHECK_ERRNO(connect_to(c, LOOPBACK, port_of(closed)), EINPROGRESS);
    CHECK_SOON(events_of(c) == (ends | POLLERR));
    CHECK(option(c, SO_ERROR) == ECONNREFUSED && events_of(c) == ends && recv(c, &byte, 1, 0) == 0);
    CHECK_ERRNO(send(c, &byte, 1, MSG_NOSIGNAL), EPIPE);
    CHECK(state_of(c) == TCP_CLOSE && !has_peer(c));
}

// What a socket is given by the listener it comes from, and what it has not: bands of priority, a process at the other end.
static void accepted(void)
{
    int l = listener(5), c = tcp(0), s;
    struct timeval limit;
    struct ucred peer = {1, 1, 1};
    socklen_t size = sizeof limit;
    CHECK(set_limit(l, SO_RCVTIMEO, 7000) == 0 && set_limit(l, SO_SNDTIMEO, 9000) == 0 && connect_to(c, LOOPBACK, port_of(l)) == 0);
    s = ACCEPT(l);
    CHECK(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, &size) == 0 && limit.tv_sec == 7 && limit.tv_usec == 0);
    CHECK(getsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, &size) == 0 && limit.tv_sec == 9 && limit.tv_usec == 0);
    struct pollfd p[2] = {{c, EVERY, 0}, {s, EVERY, 0}};
    CHECK(poll(p, 2, 0) == 2 && (p[0].revents & 0xffff) == OUT && (p[1].revents & 0xffff) == OUT);
    size = sizeof peer;
    CHECK(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && size == sizeof peer);
    CHECK(peer.pid == 0 && peer.uid == (uid_t)-1 && peer.gid == (gid_t)-1);
}

// recv(2), MSG_ERRQUEUE: asks for errors only, does not wait, and leaves the data.
static void error_queue(void)
{
    for (int i = 0; i < 2; i++) {
        int s[2];
        char buf[8];
        if (i == 0)
            tcp_pair(s);
        else
            s[1] = bound(SOCK_DGRAM, LOOPBACK), s[0] = connected(SOCK_DGRAM, s[1]);
        CHECK_ERRNO(recv(s[1], buf, 8, MSG_ERRQUEUE), EAGAIN);
        CHECK(send(s[0], "data", 4, 0) == 4 && wait_for(s[1], POLLIN) == POLLIN);
        CHECK_ERRNO(recv(s[1], buf, 8, MSG_ERRQUEUE), EAGAIN);
        CHECK_ERRNO(recv(s[1], buf, 8, MSG_ERRQUEUE | MSG_DONTWAIT), EAGAIN);
        CHECK_TEXT(recv(s[1], buf, 8, MSG_DONTWAIT), buf, "data");
    }
}

// Datagrams: of those that share a port by SO_REUSEADDR the last one bound receives. udp(7), connect(2): who is disconnected
// gives a port back that was chosen for it, and keeps one it asked for. An address of no family is one of AF_INET.
static void datagrams(void)
{
    int r[4], c = udp(0);
    char buf[8];
    for (int i = 0; i < 4; i++) {
        r[i] = udp(SOCK_NONBLOCK);
        CHECK(set(r[i], SO_REUSEADDR, 1) == 0 && bind_to(r[i], LOOPBACK, i == 0 ? 0 : port_of(r[0])) == 0);
    }
    unsigned port = port_of(r[0]);
    static const int closes[] = {-1, 0, 3}, receives[] = {3, 3, 2};
    for (int i = 0; i < 3; i++) {
        CHECK(closes[i] < 0 || close(r[closes[i]]) == 0);
        CHECK(send_to(c, "x", LOOPBACK, port) == 1 && wait_for(r[receives[i]], POLLIN) == POLLIN);
        for (int j = i > 0; j < (i == 2 ? 3 : 4); j++)
            CHECK(j == receives[i] ? recv(r[j], buf, 8, 0) == 1 : recv(r[j], buf, 8, 0) == -1 && errno == EAGAIN);
    }
    int chosen = udp(0), named = r[1];
    CHECK(connect_to(chosen, LOOPBACK, port) == 0 && port_of(chosen) != 0 && disconnect(chosen) == 0 && is_at(name_of(chosen), ANY, 0));
    CHECK(bind_to(chosen, LOOPBACK, 0) == 0 && port_of(chosen) != 0);
    CHECK(connect_to(named, LOOPBACK, port) == 0 && disconnect(named) == 0 && is_at(name_of(named), LOOPBACK, port));
    CHECK_ERRNO(bind_to(named, LOOPBACK, 0), EINVAL);
    struct sockaddr_in to = at(LOOPBACK, port);
    to.sin_family = AF_UNSPEC;
    CHECK(sendto(c, "no family", 9, 0, (void *)&to, sizeof to) == 9 && wait_for(r[2], POLLIN) == POLLIN && recv(r[2], buf, 8, 0) == 8);
}

static const struct test tests[] = {
    {"other users", other_users}, {"anew", anew}, {"given up", given_up}, {"edges", edges}, {"together", together},
    {"shut early", shut_early}, {"cut off", cut_off}, {"interrupted", interrupted}, {"more room", more_room}, {"endings", endings},
    {"refused", refused}, {"accepted", accepted}, {"error queue", error_queue}, {"datagrams", datagrams},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
