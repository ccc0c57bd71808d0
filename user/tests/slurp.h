// Small text files as a whole, and the fields in them.
#ifndef SLURP_H
#define SLURP_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char text[1 << 16], other[1 << 16];

// A whole file, read `step` bytes at a time; its length, or -1.
static inline long slurp(const char *path, char *into, size_t step)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -1;
    long len = 0, got;
    while ((got = read(fd, into + len, step < sizeof text - 1 - len ? step : sizeof text - 1 - len)) > 0)
        len += got;
    int error = errno;
    close(fd);
    errno = error;
    into[len] = 0;
    return got < 0 ? -1 : len;
}

// The number behind `name` at the start of a line of `text`; -1 if there is no such line.
static inline long long field(const char *name)
{
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, strlen(name)) == 0)
            return strtoll(line + strlen(name), 0, 10);
    }
    return -1;
}

#endif
