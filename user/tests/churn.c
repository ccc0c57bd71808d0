// Random operations on files, the same ones for the same seed wherever it runs, so that the tree they leave can be compared:
//   churn directory seed count processes    each process `count` operations in a directory of its own
//   churn directory tree                    one line for all of what is below: a hash of names, kinds, links and contents
// Each process prints a hash of what its calls gave. Only what all file systems agree on is done.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_NAMES = 120, MOST_OPEN = 6, PATH = 1024, LARGEST = 300000, LONGEST_WRITE = 20000, DEEPEST = 6, EXCHANGE = 2 };

static uint64_t state, results = 14695981039346656037u;

static unsigned below(unsigned bound)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % bound;
}

static uint64_t hashed(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    while (len-- > 0)
        hash = (hash ^ *at++) * 1099511628211u;
    return hash;
}

// What there is, by path; directories are marked. Kept by what calls gave, so it is the same wherever they give the same.
static struct { char path[PATH]; int directory; } names[MOST_NAMES];
static unsigned count;
static int open_files[MOST_OPEN];

static long gave(long result)
{
    int what[2] = {result < 0 ? -1 : 0, result < 0 ? errno : 0};
    results = hashed(results, what, sizeof what);
    return result;
}

static void added(const char *path, int directory)
{
    snprintf(names[count].path, PATH, "%s", path);
    names[count++].directory = directory;
}

static int find(const char *path)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(names[i].path, path) == 0)
            return i;
    return -1;
}

static void removed(int index)
{
    if (index >= 0)
        names[index] = names[--count];
}

static int any(void) { return count ? (int)below(count) : -1; }

static int any_file(void)
{
    int index = any();
    for (unsigned tries = 0; index >= 0 && names[index].directory && tries < 8; tries++)
        index = any();
    return index >= 0 && !names[index].directory ? index : -1;
}

// A path for something new, now and then one that is taken; null if it would be too deep.
static const char *new_path(void)
{
    static char path[2 * PATH];
    int parent = any();
    char name[300];
    int len = snprintf(name, sizeof name, "n%u", below(1000));
    if (below(20) == 0) {
        memset(name + len, 'l', 200);
        name[len + below(200)] = 0;
    }
    if (parent < 0 || !names[parent].directory)
        snprintf(path, sizeof path, "%s", name);
    else
        snprintf(path, sizeof path, "%s/%s", names[parent].path, name);
    unsigned depth = 0;
    for (const char *at = path; *at; at++)
        depth += *at == '/';
    return depth < DEEPEST && strlen(path) < 700 ? path : 0;
}

// `old` and all below it is `new` and below.
static void moved(const char *old, const char *new)
{
    size_t len = strlen(old);
    for (unsigned i = 0; i < count; i++)
        if (strncmp(names[i].path, old, len) == 0 && (names[i].path[len] == '/' || names[i].path[len] == 0)) {
            char rest[PATH];
            strcpy(rest, names[i].path + len);
            snprintf(names[i].path, PATH, "%s%s", new, rest);
        }
}

static void fill(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = below(251);
}

static void write_some(int fd, int append)
{
    static char bytes[LONGEST_WRITE];
    size_t len = 1 + below(LONGEST_WRITE - 1);
    off_t at = below(LARGEST - LONGEST_WRITE), end = lseek(fd, 0, SEEK_END);
    fill(bytes, len);
    if (append && end + (off_t)len <= LARGEST)
        at = end;
    if (gave(pwrite(fd, bytes, len, at)) != (ssize_t)len)
        results++;
}

static void store_mapped(int fd)
{
    struct stat found;
    if (fstat(fd, &found) != 0 || found.st_size == 0)
        return;
    char *at = mmap(0, found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (gave(at == MAP_FAILED ? -1 : 0) != 0)
        return;
    for (unsigned i = below(5); i > 0; i--) {
        size_t start = below(found.st_size), len = 1 + below(9000);
        fill(at + start, start + len > (size_t)found.st_size ? found.st_size - start : len);
    }
    if (below(4) == 0)
        gave(msync(at, found.st_size, MS_SYNC));
    munmap(at, found.st_size);
}

static void remove_one(int index)
{
    const char *path = names[index].path;
    if (gave(names[index].directory ? rmdir(path) : unlink(path)) == 0)
        removed(index);
}

static void rename_one(int index)
{
    char old[PATH], new[PATH];
    const char *to = below(3) == 0 ? names[any()].path : new_path();
    if (!to || strlen(to) > 700)
        return;
    strcpy(old, names[index].path);
    strcpy(new, to);
    size_t len = strlen(old);
    int exchange = below(6) == 0 ? EXCHANGE : 0, there = find(new);
    // Where one lies in the other, file systems differ in what they notice first.
    if (strncmp(old, new, len) == 0 || strncmp(new, old, strlen(new)) == 0)
        return;
    if (exchange && there < 0)
        return;
    struct stat one, other;
    int same = stat(old, &one) == 0 && stat(new, &other) == 0 && one.st_ino == other.st_ino;
    if (gave(syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, exchange)) != 0 || same)
        return;
    if (exchange) {
        moved(old, "?");
        moved(new, old);
        moved("?", new);
    } else {
        removed(there);
        moved(old, new);
    }
}

static void on_new(unsigned what)
{
    const char *path = count < MOST_NAMES ? new_path() : 0;
    if (!path)
        return;
    if (what == 0) {
        int fd = gave(open(path, O_CREAT | O_EXCL | O_RDWR, 0600 | below(64)));
        if (fd >= 0) {
            added(path, 0);
            write_some(fd, 1);
            close(fd);
        }
    } else if (what == 1) {
        if (gave(mkdir(path, 0700 | below(64))) == 0)
            added(path, 1);
    } else {
        int index = any_file();
        if (index >= 0 && gave(link(names[index].path, path)) == 0)
            added(path, 0);
    }
}

static void on_file(unsigned what)
{
    int index = any_file();
    if (index < 0)
        return;
    int fd = gave(open(names[index].path, O_RDWR | (what == 7 ? O_TRUNC : 0)));
    if (fd < 0)
        return;
    switch (what) {
    case 0: case 1: write_some(fd, 0); break;
    case 2: write_some(fd, 1); break;
    case 3: gave(ftruncate(fd, below(LARGEST))); break;
    case 4: case 5: store_mapped(fd); break;
    case 6: gave(below(3) == 0 ? fsync(fd) : fchmod(fd, 0600 | below(64))); break;
    case 7: write_some(fd, 1); break;
    default: {
        // One that stays open, whatever becomes of its name.
        int *slot = &open_files[below(MOST_OPEN)];
        if (*slot > 0) {
            write_some(*slot, below(2));
            store_mapped(*slot);
            close(*slot);
        }
        *slot = fd;
        return;
    }
    }
    close(fd);
}

static int churn(unsigned operations)
{
    for (unsigned i = 0; i < operations; i++) {
        unsigned what = below(20);
        int index;
        if (what < 3)
            on_new(0);
        else if (what < 5)
            on_new(what - 2);
        else if (what < 15)
            on_file(below(9));
        else if ((index = any()) >= 0)
            what < 17 ? remove_one(index) : rename_one(index);
    }
    return 0;
}

static int by_name(const void *one, const void *other) { return strcmp(*(char **)one, *(char **)other); }

// Hash of what is below the working directory, added to `hash`.
static uint64_t tree(uint64_t hash, unsigned *entries)
{
    DIR *directory = opendir(".");
    char *found[4096];
    size_t len = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && len < 4096)
            found[len++] = strdup(entry->d_name);
    closedir(directory);
    qsort(found, len, sizeof *found, by_name);
    for (size_t i = 0; i < len; i++) {
        struct stat about;
        if (lstat(found[i], &about) != 0) {
            perror(found[i]);
            exit(1);
        }
        uint64_t numbers[] = {about.st_mode, S_ISDIR(about.st_mode) ? 0 : about.st_nlink, S_ISDIR(about.st_mode) ? 0 : about.st_size};
        hash = hashed(hashed(hash, found[i], strlen(found[i]) + 1), numbers, sizeof numbers);
        if (S_ISREG(about.st_mode)) {
            static char bytes[65536];
            int fd = open(found[i], O_RDONLY);
            for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;)
                hash = hashed(hash, bytes, got);
            close(fd);
        } else if (S_ISDIR(about.st_mode) && chdir(found[i]) == 0) {
            hash = tree(hash, entries);
            if (chdir("..") != 0)
                exit(1);
        }
        *entries += 1;
        free(found[i]);
    }
    return hash;
}

int main(int argc, char **argv)
{
    if (argc < 3 || chdir(argv[1]) != 0) {
        printf("usage: churn directory [seed count processes | tree]\n");
        return 2;
    }
    umask(0);
    if (argc == 3) {
        unsigned entries = 0;
        uint64_t hash = tree(14695981039346656037u, &entries);
        printf("tree: %016llx of %u entries\n", (unsigned long long)hash, entries);
        return 0;
    }
    if (argc != 5)
        return 2;
    unsigned processes = atoi(argv[4]);
    for (unsigned number = 0; number < processes; number++)
        if (fork() == 0) {
            char own[16];
            snprintf(own, sizeof own, "p%u", number);
            if (mkdir(own, 0755) != 0 || chdir(own) != 0) {
                perror(own);
                return 1;
            }
            state = strtoull(argv[2], 0, 10) * 1000003 + number;
            churn(strtoul(argv[3], 0, 10));
            printf("process %u: %016llx, %u names\n", number, (unsigned long long)results, count);
            fflush(stdout);
            return 0;
        }
    int failed = 0, status;
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}
