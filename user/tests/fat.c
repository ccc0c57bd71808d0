// What a FAT is and is not, as Linux's vfat has it. Arguments: a disk with a FAT whose content may go, and a directory to
// mount it on; then names of tests. On Linux it needs root.
#define _GNU_SOURCE
#include "table.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static const char *disk, *place;

// The path of `name` there.
static const char *at(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", place, name);
    return path;
}

static void make(const char *name, const char *text)
{
    int fd = open(at(name), O_CREAT | O_TRUNC | O_RDWR, 0644);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static int holds(const char *name, const char *text)
{
    char found[256] = "";
    int fd = open(at(name), O_RDONLY);
    ssize_t len = read(fd, found, sizeof found - 1);
    close(fd);
    return len == (ssize_t)strlen(text) && strcmp(found, text) == 0;
}

static void finds_names_in_any_case(void)
{
    struct stat one, two;
    make("Mixed Case.Text", "content");
    CHECK(stat(at("Mixed Case.Text"), &one) == 0 && stat(at("mIXED cASE.tEXT"), &two) == 0 && one.st_ino == two.st_ino);
    CHECK_ERRNO(open(at("MIXED CASE.TEXT"), O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
    CHECK_ERRNO(mkdir(at("mixed case.text"), 0755), EEXIST);
    CHECK(unlink(at("MIXED case.TEXT")) == 0);
    CHECK_ERRNO(stat(at("Mixed Case.Text"), &one), ENOENT);
    DIR *all = opendir(place);
    make("KeepS", "");
    unsigned kept = 0;
    for (struct dirent *entry; (entry = readdir(all));)
        kept += strcmp(entry->d_name, "KeepS") == 0;
    CHECK(kept == 1 && closedir(all) == 0 && unlink(at("keeps")) == 0);
}

static void refuses_what_it_cannot_hold(void)
{
    static const char *const bad[] = {"a:b", "star*", "what?", "back\\slash", "quote\"", "less<", "pipe|"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERRNO(open(at(bad[i]), O_CREAT | O_RDWR, 0644), EINVAL);
    make("file", "x");
    CHECK_ERRNO(link(at("file"), at("other")), EPERM);
    CHECK_ERRNO(symlink("file", at("other")), EPERM);
    CHECK_ERRNO(mknod(at("other"), S_IFIFO | 0644, 0), EPERM);
    CHECK_ERRNO(chown(at("file"), 12345, -1), EPERM);
    CHECK_ERRNO(chmod(at("file"), 04755), EPERM);
    CHECK(chown(at("file"), getuid(), getgid()) == 0);
    CHECK_ERRNO(truncate(at("file"), 1LL << 32), EFBIG);
    CHECK(unlink(at("file")) == 0);
}

static void keeps_the_write_bit_alone(void)
{
    struct stat found;
    make("file", "x");
    CHECK(stat(at("file"), &found) == 0 && (found.st_mode & 07777) == 0755 && found.st_nlink == 1);
    CHECK(chmod(at("file"), 0555) == 0 && stat(at("file"), &found) == 0 && (found.st_mode & 07777) == 0555);
    CHECK(chmod(at("file"), 0600) == 0 && stat(at("file"), &found) == 0 && (found.st_mode & 07777) == 0555);
    CHECK(chmod(at("file"), 0755) == 0 && stat(at("file"), &found) == 0 && (found.st_mode & 07777) == 0755);
    struct timespec times[2] = {{86400 * 15000, 0}, {86400 * 15000 + 7202, 5}};
    CHECK(utimensat(AT_FDCWD, at("file"), times, 0) == 0 && stat(at("file"), &found) == 0);
    CHECK(found.st_mtime == 86400 * 15000 + 7202 && found.st_atime / 86400 == 15000);
    CHECK(unlink(at("file")) == 0);
}

static void lets_open_files_live(void)
{
    char text[16] = "";
    make("one", "first");
    make("two", "second");
    int one = open(at("one"), O_RDWR), two = open(at("two"), O_RDWR);
    CHECK(unlink(at("one")) == 0 && rename(at("two"), at("three")) == 0);
    make("four", "fourth");
    CHECK(rename(at("four"), at("three")) == 0 && holds("three", "fourth"));
    struct stat found;
    CHECK(fstat(one, &found) == 0 && found.st_nlink == 0 && found.st_size == 5);
    CHECK(pread(one, text, 16, 0) == 5 && pwrite(one, "!", 1, 5) == 1 && pread(one, text, 16, 0) == 6);
    CHECK(strcmp(text, "first!") == 0);
    memset(text, 0, sizeof text);
    CHECK(pread(two, text, 16, 0) == 6 && strcmp(text, "second") == 0);
    CHECK(fsync(one) == 0 && close(one) == 0 && close(two) == 0 && unlink(at("THREE")) == 0);
    CHECK(mkdir(at("dir"), 0755) == 0 && mkdir(at("dir/sub"), 0755) == 0);
    CHECK_ERRNO(rmdir(at("dir")), ENOTEMPTY);
    CHECK(rename(at("dir/sub"), at("moved")) == 0 && rmdir(at("dir")) == 0 && rmdir(at("moved")) == 0);
}

static void is_coherent_with_mappings(void)
{
    enum { LEN = 3 * TEST_PAGE + 100 };
    static char bytes[LEN];
    int fd = open(at("mapped"), O_CREAT | O_TRUNC | O_RDWR, 0644);
    CHECK(ftruncate(fd, LEN) == 0);
    char *map = mmap(0, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED && map[LEN - 1] == 0);
    memset(map + 5000, 'm', 4000);
    CHECK(pwrite(fd, "written", 7, 2) == 7 && memcmp(map + 2, "written", 7) == 0);
    CHECK(msync(map, LEN, MS_SYNC) == 0 && munmap(map, LEN) == 0 && close(fd) == 0);
    CHECK(umount(place) == 0 && mount(disk, place, "vfat", 0, "umask=022") == 0);
    fd = open(at("mapped"), O_RDONLY);
    CHECK(read(fd, bytes, LEN) == LEN && bytes[4999] == 0 && bytes[5000] == 'm' && bytes[8999] == 'm' && bytes[9000] == 0);
    CHECK(memcmp(bytes + 2, "written", 7) == 0 && close(fd) == 0 && unlink(at("mapped")) == 0);
}

static void takes_options(void)
{
    struct stat found;
    struct statfs space;
    make("file", "x");
    CHECK(mkdir(at("dir"), 0755) == 0 && statfs(place, &space) == 0);
    CHECK(space.f_type == 0x4d44 && space.f_blocks > space.f_bfree && space.f_bsize >= 512);
    CHECK(umount(place) == 0);
    CHECK_ERRNO(mount(disk, place, "vfat", 0, "no-such-option=1"), EINVAL);
    CHECK_ERRNO(mount(disk, place, "ext2", 0, ""), EINVAL);
    CHECK(mount(disk, place, "msdos", MS_RDONLY, "uid=1234,gid=77,fmask=0137,dmask=0027") == 0);
    CHECK(stat(at("file"), &found) == 0 && (found.st_mode & 07777) == 0640 && found.st_uid == 1234 && found.st_gid == 77);
    CHECK(stat(at("dir"), &found) == 0 && (found.st_mode & 07777) == 0750);
    CHECK_ERRNO(open(at("new"), O_CREAT | O_RDWR, 0644), EROFS);
    CHECK_ERRNO(unlink(at("file")), EROFS);
    CHECK(umount(place) == 0 && mount(disk, place, "vfat", 0, "umask=022") == 0);
    CHECK(unlink(at("file")) == 0 && rmdir(at("dir")) == 0);
}

static void fills_up_and_goes_on(void)
{
    static char bytes[1 << 16];
    int fd = open(at("big"), O_CREAT | O_TRUNC | O_RDWR, 0644);
    ssize_t wrote;
    memset(bytes, 'f', sizeof bytes);
    while ((wrote = write(fd, bytes, sizeof bytes)) > 0)
        continue;
    CHECK(wrote == -1 && errno == ENOSPC);
    CHECK(ftruncate(fd, 100000) == 0 && pread(fd, bytes, 10, 99995) == 5 && bytes[0] == 'f');
    make("small", "fits again");
    CHECK(holds("small", "fits again") && unlink(at("small")) == 0 && close(fd) == 0 && unlink(at("big")) == 0);
}

// When umount has returned the disk is free, whoever was writing all file systems back meanwhile.
static void leaves_the_disk(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            sync();
    for (int i = 0; i < 50; i++) {
        make("again", "and again");
        CHECK(umount(place) == 0);
        int fd = open(disk, O_RDWR | O_EXCL);
        CHECK(fd >= 0 && close(fd) == 0 && mount(disk, place, "vfat", 0, "umask=022") == 0);
    }
    CHECK(holds("again", "and again") && unlink(at("again")) == 0);
    kill(pid, SIGKILL);
    CHECK_CHILD(pid, SIGKILL);
}

static const struct test tests[] = {
    {"cases", finds_names_in_any_case}, {"refused", refuses_what_it_cannot_hold}, {"modes", keeps_the_write_bit_alone},
    {"open", lets_open_files_live}, {"mappings", is_coherent_with_mappings}, {"options", takes_options},
    {"full", fills_up_and_goes_on}, {"leaves", leaves_the_disk},
};

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: fat disk directory [test]...\n");
        return 2;
    }
    disk = argv[1];
    place = argv[2];
    if (mount(disk, place, "vfat", 0, "umask=022") != 0) {
        perror(disk);
        return 1;
    }
    int status = run_table(tests, sizeof tests / sizeof *tests, argc - 2, argv + 2);
    if (umount(place) != 0) {
        perror(place);
        return 1;
    }
    return status;
}
