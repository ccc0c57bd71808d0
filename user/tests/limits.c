// What is large in a file system: a sparse file of 2 GiB, a directory with very many entries, the longest name and path; and
// what comes when no inode is left. In the directory that is named. Arguments: DIRECTORY [ENTRIES] or DIRECTORY inodes.
#define _GNU_SOURCE
#include "table.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int entries = 50000;

static void sparse_file(void)
{
    static char block[4096], seen[4096];
    const off_t places[] = {0, 12 * 1024 - 1, 300 * 1024 + 5, 70000000, (1ll << 31) - 10, (1ll << 31) + 1};
    enum { PLACES = sizeof places / sizeof *places };
    int fd = open("sparse", O_CREAT | O_EXCL | O_RDWR, 0600);
    CHECK(fd >= 0);
    for (int i = PLACES; i-- > 0;)
        CHECK(pwrite(fd, &"abcdef"[i], 1, places[i]) == 1);
    struct stat stat_;
    CHECK(fstat(fd, &stat_) == 0 && stat_.st_size == (1ll << 31) + 2 && stat_.st_blocks < 200);
    for (int i = 0; i < PLACES; i++) {
        char byte = 0;
        CHECK(pread(fd, &byte, 1, places[i]) == 1 && byte == "abcdef"[i]);
    }
    CHECK(pread(fd, seen, sizeof seen, 1000000000) == sizeof seen && memcmp(seen, block, sizeof seen) == 0);
    CHECK(fsync(fd) == 0);
    CHECK(ftruncate(fd, 70000001) == 0 && fstat(fd, &stat_) == 0 && stat_.st_size == 70000001);
    char byte = 0;
    CHECK(pread(fd, &byte, 1, 70000000) == 1 && byte == 'd' && pread(fd, &byte, 1, 70000001) == 0);
    CHECK(ftruncate(fd, 1ll << 31) == 0 && pread(fd, &byte, 1, (1ll << 31) - 10) == 1 && byte == 0);
    CHECK(close(fd) == 0);
}

static void long_names(void)
{
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    CHECK(mkdir(name, 0700) == 0 && access(name, F_OK) == 0 && rmdir(name) == 0);
    name[255] = 'n';
    name[256] = 0;
    CHECK_ERRNO(mkdir(name, 0700), ENAMETOOLONG);
    CHECK_ERRNO(open(name, O_RDONLY), ENAMETOOLONG);
    // A path of 4,095 bytes: 16 directories of 255 bytes with their slashes, less one byte.
    static char path[5000];
    char *end = path;
    int depth = 0;
    int start = open(".", O_RDONLY | O_DIRECTORY);
    CHECK(start >= 0);
    while (end - path + 256 <= 4095) {
        memset(end, 'a' + depth, 255);
        end[255] = 0;
        CHECK(mkdir(path, 0700) == 0);
        end[255] = '/';
        end += 256;
        depth++;
    }
    int left = 4095 - (end - path);
    memset(end, 'z', left);
    end[left] = 0;
    CHECK(strlen(path) == 4095);
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
    CHECK(fd >= 0 && write(fd, "deep", 4) == 4 && close(fd) == 0);
    struct stat stat_;
    CHECK(stat(path, &stat_) == 0 && stat_.st_size == 4);
    end[left] = 'z';
    end[left + 1] = 0;
    CHECK(strlen(path) == 4096);
    CHECK_ERRNO(stat(path, &stat_), ENAMETOOLONG);
    // Deeper than a path can say, and the way back.
    end[-1] = 0;
    CHECK(chdir(path) == 0 && mkdir("deeper", 0700) == 0 && chdir("deeper") == 0);
    CHECK(mkdir(name + 2, 0700) == 0 && chdir(name + 2) == 0);
    char cwd[8192];
    CHECK_ERRNO(syscall(SYS_getcwd, cwd, sizeof cwd), ENAMETOOLONG);
    CHECK(fchdir(start) == 0 && close(start) == 0);
}

static void name_of(char *name, int i) { sprintf(name, "many/file-%d-%d", i % 7, i); }

static void many_entries(void)
{
    char name[64];
    CHECK(mkdir("many", 0700) == 0);
    int wrong = 0;
    for (int i = 0; i < entries; i++) {
        name_of(name, i);
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
        wrong += fd < 0;
        close(fd);
    }
    CHECK(wrong == 0);
    for (int i = 0; i < entries; i += 1000) {
        name_of(name, i);
        CHECK_ERRNO(open(name, O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
        name_of(name, i + entries);
        CHECK_ERRNO(open(name, O_RDONLY), ENOENT);
    }
    unsigned char *seen = calloc(entries, 1);
    DIR *many = opendir("many");
    int listed = 0;
    for (struct dirent *entry; many && (entry = readdir(many));) {
        int group, i;
        if (sscanf(entry->d_name, "file-%d-%d", &group, &i) == 2 && i >= 0 && i < entries && !seen[i]) {
            seen[i] = 1;
            listed++;
        }
    }
    closedir(many);
    CHECK(listed == entries);
    free(seen);
    CHECK_ERRNO(rmdir("many"), ENOTEMPTY);
    for (int i = 0; i < entries; i++) { // all but every hundredth
        name_of(name, i);
        wrong += i % 100 != 0 && unlink(name) != 0;
    }
    CHECK(wrong == 0);
    for (int i = 0; i < entries; i += 50) {
        name_of(name, i);
        CHECK((access(name, F_OK) == 0) == (i % 100 == 0));
    }
}

// A file system whose inodes are used up says so, and goes on when one is free again.
static int no_inode(void)
{
    char name[64];
    int made = 0, fd;
    for (;; made++) {
        sprintf(name, "inode-%d", made);
        fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
        if (fd < 0)
            break;
        close(fd);
    }
    CHECK(errno == ENOSPC && made > 10);
    CHECK_ERRNO(mkdir("directory", 0700), ENOSPC);
    CHECK_ERRNO(symlink("x", "link"), ENOSPC);
    CHECK(link("inode-0", "other-name") == 0);
    fd = open("inode-1", O_WRONLY);
    CHECK(fd >= 0 && write(fd, "there is room for bytes", 23) == 23 && fsync(fd) == 0 && close(fd) == 0);
    CHECK(unlink("inode-2") == 0 && mkdir("directory", 0700) == 0);
    CHECK_ERRNO(mkdir("directory2", 0700), ENOSPC);
    return check_result();
}

static const struct test tests[] = {
    {"sparse file", sparse_file}, {"long names", long_names}, {"many entries", many_entries},
};

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]) != 0) {
        fprintf(stderr, "usage: %s DIRECTORY [ENTRIES | inodes]\n", argv[0]);
        return 2;
    }
    if (argc > 2 && strcmp(argv[2], "inodes") == 0)
        return no_inode();
    if (argc > 2)
        entries = atoi(argv[2]);
    return run_table(tests, sizeof tests / sizeof *tests, 1, argv);
}
