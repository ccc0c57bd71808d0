# The smallest program: two system calls, no library, no stack used. Prints a greeting and exits with status 0.
.intel_syntax noprefix

        .section .rodata
greeting:
        .ascii "Hello from user mode!\n"
greeting_len = . - greeting

        .text
        .globl _start
_start: mov     eax, 1                  # write(1, greeting, greeting_len)
        mov     edi, 1
        lea     rsi, [rip + greeting]
        mov     edx, greeting_len
        syscall
        xor     edi, edi                # the status: 0 when all of it was written, else 1
        cmp     rax, greeting_len
        setne   dil
        mov     eax, 231                # exit_group(status)
        syscall
