// Counts the primes below N by trial division: a program that only computes, to load CPUs and to be timed.
// primes N prints one line and exits with 0; a missing or bad N is a usage error, status 2.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEFAULT_LIMIT = 15000, MAX_LIMIT = 100000000 };

// Divides by every odd number below `n`, not only up to its root: the point is to compute for a while.
static int is_prime(unsigned n)
{
    if (n < 2)
        return 0;
    if (n % 2 == 0)
        return n == 2;
    for (unsigned d = 3; d < n; d += 2)
        if (n % d == 0)
            return 0;
    return 1;
}

int main(int argc, char **argv)
{
    unsigned long limit = DEFAULT_LIMIT;
    if (argc > 1) {
        char *end;
        errno = 0;
        limit = strtoul(argv[1], &end, 10);
        if (errno != 0 || *end != '\0' || end == argv[1] || limit > MAX_LIMIT) {
            fprintf(stderr, "primes: %s: must be a number up to %d\n", argv[1], MAX_LIMIT);
            return 2;
        }
    }
    unsigned count = 0, largest = 0;
    for (unsigned n = 0; n < limit; n++) {
        if (is_prime(n)) {
            count++;
            largest = n;
        }
    }
    printf("%lu: %u primes below, largest %u\n", limit, count, largest);
    return 0;
}
