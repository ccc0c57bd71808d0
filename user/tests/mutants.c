// Damaged disks: `mutants directory device...` mounts each device on the directory, walks it, changes what it finds and
// unmounts it. Nothing is expected of what the calls give; they must come back, and the kernel must go on.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MOST_ENTRIES = 400, DEEPEST = 12, DETACH = 2 };

static unsigned entries;
static char bytes[20000];

static void use_file(const char *name)
{
    int fd = open(name, O_RDWR | O_NONBLOCK);
    struct stat about;
    if (fd < 0)
        return;
    if (read(fd, bytes, sizeof bytes) >= 0 && fstat(fd, &about) == 0 && about.st_size > 0) {
        (void)!pread(fd, bytes, 5000, about.st_size - about.st_size / 7 - 1);
        lseek(fd, 0, SEEK_HOLE);
        lseek(fd, about.st_size / 2, SEEK_DATA);
    }
    (void)!pwrite(fd, bytes, 3000, 100 * (entries % 50));
    if (entries % 3 == 0)
        (void)!ftruncate(fd, about.st_size / 2);
    if (entries % 3 == 1)
        (void)!pwrite(fd, "far", 3, 300000);
    if (entries % 4 == 0 && about.st_size > 4096) {
        char *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at != MAP_FAILED) {
            // What a damaged map leads to may not be there (SIGBUS): a call looks instead of this program.
            (void)!pwrite(fd, at, 64, 0);
            munmap(at, 4096);
        }
    }
    if (entries % 5 == 0)
        fsync(fd);
    close(fd);
}

static void walk(unsigned depth)
{
    DIR *directory = opendir(".");
    char *names[200];
    unsigned count = 0;
    if (!directory)
        return;
    for (struct dirent *entry; count < 200 && (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            names[count++] = strdup(entry->d_name);
    closedir(directory);
    for (unsigned i = 0; i < count; i++) {
        struct stat about;
        const char *name = names[i];
        if (entries++ >= MOST_ENTRIES)
            break;
        if (lstat(name, &about) == 0) {
            llistxattr(name, bytes, sizeof bytes);
            lgetxattr(name, "user.short", bytes, sizeof bytes);
            if (S_ISREG(about.st_mode))
                use_file(name);
            else if (S_ISLNK(about.st_mode))
                (void)!readlink(name, bytes, sizeof bytes);
            else if (S_ISDIR(about.st_mode) && depth < DEEPEST && chdir(name) == 0) {
                walk(depth + 1);
                if (chdir("..") != 0)
                    exit(1);
            }
        }
        lsetxattr(name, "user.new", bytes, 40 + i, 0);
        chmod(name, 0755);
        if (i % 3 == 0)
            rename(name, "renamed");
        if (i % 4 == 1)
            S_ISDIR(about.st_mode) ? rmdir(name) : unlink(name);
        if (i % 5 == 2)
            link(name, "linked");
    }
    while (count > 0)
        free(names[--count]);
    for (int i = 0; i < 12; i++) {
        char name[100];
        snprintf(name, sizeof name, "made-%d-of-a-longer-name-that-fills-the-directory", i);
        int fd = open(name, O_CREAT | O_RDWR, 0644);
        if (fd >= 0) {
            (void)!write(fd, bytes, 3000);
            close(fd);
        }
    }
    mkdir("made-directory", 0755);
    (void)!symlink("target", "made-link");
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    unsigned mounted = 0, found = 0;
    for (int i = 2; i < argc; i++) {
        struct statfs about;
        if (chdir("/") != 0 || (mount(argv[i], argv[1], "ext2", 0, 0) != 0 && mount(argv[i], argv[1], "vfat", 0, 0) != 0))
            continue;
        mounted++;
        entries = 0;
        if (chdir(argv[1]) == 0)
            walk(0);
        found += entries;
        statfs(".", &about);
        sync();
        if (chdir("/") != 0 || (umount2(argv[1], 0) != 0 && errno == EBUSY && umount2(argv[1], DETACH) != 0)) {
            printf("%s: cannot be unmounted: %s\n", argv[i], strerror(errno));
            return 1;
        }
    }
    printf("%d images, %u of them mounted, %u entries\n", argc - 2, mounted, found);
    return 0;
}
