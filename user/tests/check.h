// The few lines the test programs share: a check that counts and says what was wrong. Such a program ends with status
// 0 when every check held, else 1, and its last line is the count. They are run on Linux as well, which is the oracle.
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

static unsigned checks_passed, checks_failed;

static inline void check_true(int holds, const char *text, int line)
{
    if (holds) {
        checks_passed++;
    } else {
        checks_failed++;
        printf("line %d: %s does not hold (errno %d, %s)\n", line, text, errno, strerror(errno));
    }
}

// A condition; the message shows it as written.
#define CHECK(condition) check_true((condition), #condition, __LINE__)

// A call that must fail with -1 and this errno.
#define CHECK_ERRNO(call, expected)                                                                                    \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        long result_ = (long)(call);                                                                                   \
        int errno_ = errno;                                                                                            \
        if (result_ == -1 && errno_ == (expected)) {                                                                   \
            checks_passed++;                                                                                           \
        } else {                                                                                                       \
            checks_failed++;                                                                                           \
            printf("line %d: %s gave %ld with errno %d (%s), not %s\n", __LINE__, #call, result_, errno_,              \
                   strerror(errno_), #expected);                                                                       \
        }                                                                                                              \
    } while (0)

static inline int check_result(void)
{
    printf("%u passed, %u failed\n", checks_passed, checks_failed);
    return checks_failed != 0;
}

#endif
