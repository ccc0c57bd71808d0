# Makes system calls that do not exist: ENOSYS each time, and the program goes on to status 0.
.include "fault.inc"

.set ENOSYS, 38
_start: lea     rbx, [rip + numbers]
next:   mov     rax, [rbx]
        test    rax, rax
        jz      done
        syscall
        cmp     rax, -ENOSYS
        jne     wrong
        add     rbx, 8
        jmp     next
done:   exit    0
wrong:  exit    1
.section .rodata
numbers: .quad  9999, 600, 0x7fffffff, 0x80000000, 0xffffffff, 0xffffffffffff, -1, 0
