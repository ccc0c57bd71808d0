// Sets what the virtual terminal at its standard input shows or what its keys give, for the tests of the screen:
//   vt-mode graphics   the screen is left alone until a line is read; so it stays if the line is "die"
//   vt-mode keys MODE COUNT   shows the next COUNT bytes that keys give in this mode of KDSKBMODE
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { KDSETMODE = 0x4b3a, KDSKBMODE = 0x4b45, KD_TEXT = 0, KD_GRAPHICS = 1, K_UNICODE = 3 };

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int graphics(void)
{
    char line[16] = "";
    if (ioctl(0, KDSETMODE, KD_GRAPHICS) != 0)
        return fail("KDSETMODE");
    puts("written in graphics mode");
    if (!fgets(line, sizeof line, stdin))
        return fail("standard input");
    if (strcmp(line, "die\n") == 0)
        return 0;
    return ioctl(0, KDSETMODE, KD_TEXT) != 0 ? fail("KDSETMODE") : 0;
}

static int keys(int mode, int count)
{
    struct termios before, raw;
    if (tcgetattr(0, &before) != 0)
        return fail("tcgetattr");
    raw = before;
    cfmakeraw(&raw);
    raw.c_oflag = before.c_oflag;
    if (tcsetattr(0, TCSANOW, &raw) != 0 || ioctl(0, KDSKBMODE, mode) != 0)
        return fail("KDSKBMODE");
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        unsigned char byte;
        if (read(0, &byte, 1) != 1)
            return fail("read");
        printf("%02x%s", byte, i + 1 < count ? " " : "\n");
    }
    ioctl(0, KDSKBMODE, K_UNICODE);
    tcsetattr(0, TCSANOW, &before);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "graphics") == 0)
        return graphics();
    if (argc == 4 && strcmp(argv[1], "keys") == 0)
        return keys(atoi(argv[2]), atoi(argv[3]));
    fprintf(stderr, "usage: vt-mode graphics | vt-mode keys MODE COUNT\n");
    return 2;
}
