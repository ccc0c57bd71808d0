// tone HERTZ MILLISECONDS: a tone on the speaker, by KIOCSOUND for its begin and KDMKTONE for its length.
#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum { KIOCSOUND = 0x4b2f, KDMKTONE = 0x4b30, CLOCK_HZ = 1193182 };

int main(int argc, char **argv)
{
    int fd = open("/dev/tty1", O_RDWR | O_NOCTTY);
    unsigned long divisor = argc > 2 ? CLOCK_HZ / atoi(argv[1]) : 0, length = argc > 2 ? atoi(argv[2]) : 0;
    CHECK(fd >= 0);
    CHECK(ioctl(fd, KIOCSOUND, divisor) == 0);
    CHECK(ioctl(fd, KIOCSOUND, 0) == 0);
    CHECK(ioctl(fd, KDMKTONE, length << 16 | divisor) == 0);
    return check_result();
}
