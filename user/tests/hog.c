// Takes memory until there is none, and touches all of it: the kernel has to end this process, not itself.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

enum { PAGE = 4096, BYTES = 64 << 20 };

int main(void)
{
    for (;;) {
        char *at = mmap(0, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED) {
            printf("no more mappings\n");
            return 0;
        }
        for (size_t page = 0; page < BYTES; page += PAGE)
            at[page] = 1;
    }
}
