# Reads and writes across alignment and page borders, which x86 allows: status 0.
.include "fault.inc"

_start: lea     rbx, [rip + buffer + 4093]
        movabs  rax, 0x1122334455667788
        mov     [rbx], rax
        cmp     rax, [rbx]
        jne     wrong
        movups  xmm0, [rbx]
        movups  [rbx + 16], xmm0
        cmp     rax, [rbx + 16]
        jne     wrong
        exit    0
wrong:  exit    1
.bss
.balign 4096
buffer: .skip   8192
