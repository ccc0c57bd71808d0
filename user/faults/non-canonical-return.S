# Makes a system call whose return address is 2^47, which SYSRET must not be given.
.include "fault.inc"

# The SYSCALL instruction has to be the last two bytes below 2^47. Linux refuses to map that page; where the
# kernel does the same, the program jumps to 2^47 itself, so that the expected end is one and the same.
.set LAST_PAGE, 0x00007ffffffff000

_start: movabs  rdi, LAST_PAGE
        mov     esi, 4096
        mov     edx, PROT_READ | PROT_WRITE | PROT_EXEC
        mov     r10d, MAP_PRIVATE_ANONYMOUS_FIXED
        mov     r8, -1
        xor     r9d, r9d
        mov     eax, SYS_mmap
        syscall
        movabs  rdx, LAST_PAGE
        cmp     rax, rdx
        jne     refused
        mov     word ptr [rdx + 4094], 0x050f   # syscall
        mov     eax, 39                         # getpid: harmless, so that only the return can go wrong
        add     rdx, 4094
        jmp     rdx
refused:
        movabs  rax, NON_CANONICAL
        jmp     rax
