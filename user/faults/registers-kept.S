# Checks that a system call changes rax, rcx and r11 alone, and no flag: status 0.
.include "fault.inc"

_start: mov     rbx, 0x1111
        mov     rbp, 0x2222
        mov     r12, 0x3333
        mov     r13, 0x4444
        mov     r14, 0x5555
        mov     r15, 0x6666
        mov     rdi, 0x7777
        mov     rsi, 0x8888
        mov     rdx, 0x9999
        mov     r8, 0xaaaa
        mov     r9, 0xbbbb
        mov     r10, 0xcccc
        mov     rax, 0xdddd
        movq    xmm7, rax
        mov     eax, 39                         # getpid
        std                                     # the kernel must clear it for itself and bring it back
        stc
        syscall
        jnc     wrong
        pushfq
        pop     rax
        cld
        test    eax, 0x400
        jz      wrong
        cmp     rbx, 0x1111
        jne     wrong
        cmp     rbp, 0x2222
        jne     wrong
        cmp     r12, 0x3333
        jne     wrong
        cmp     r13, 0x4444
        jne     wrong
        cmp     r14, 0x5555
        jne     wrong
        cmp     r15, 0x6666
        jne     wrong
        cmp     rdi, 0x7777
        jne     wrong
        cmp     rsi, 0x8888
        jne     wrong
        cmp     rdx, 0x9999
        jne     wrong
        cmp     r8, 0xaaaa
        jne     wrong
        cmp     r9, 0xbbbb
        jne     wrong
        cmp     r10, 0xcccc
        jne     wrong
        movq    rax, xmm7
        cmp     rax, 0xdddd
        jne     wrong
        exit    0
wrong:  exit    1
