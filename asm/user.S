# Into user mode and back.
#
# user_enter, with the context in rdi and whether sysretq will do in esi, is called with interrupts off and "returns" when
# the user program makes a system call, faults or is interrupted; the context then holds the user's registers and, in its
# vector field, the reason. Of the caller's registers it keeps rsp, rbp and rbx alone. By sysretq, rcx and r11 of the
# context are rip and the flags.
# The checks that make iretq and sysretq safe (canonical rip, flags, selectors) are machine::user's.
#
# UserContext, from low to high: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi vector error rip cs rflags
# rsp ss; its end is 16-aligned, as the CPU aligns the stack it switches to.
#
# Owner: machine::user. Operands: {user_return_rsp}, {user_context}, {user_scratch}, {tables}, {tss_rsp0}, {context_size},
# {user_cs}, {user_ss}, {syscall_vector}.

.section .text.user, "ax"
.balign 16
.global user_enter
user_enter:
    push rbp
    push rbx
    mov gs:[{user_return_rsp}], rsp
    lea rax, [rdi + {context_size}]
    mov gs:[{tables} + {tss_rsp0}], rax            # an interrupt from user mode fills the context from its end
    mov gs:[{user_context}], rax
    mov rsp, rdi
    test esi, esi
    jnz 6f
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
    add rsp, 16                         # vector, error code
    swapgs
    iretq
6:  pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop r11                             # the flags
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx                             # rip
    pop rdx
    pop rsi
    pop rdi
    mov rsp, [rsp + 40]
    swapgs
    sysretq

.balign 16
.global syscall_entry
syscall_entry:
    swapgs
    mov gs:[{user_scratch}], rsp
    mov rsp, gs:[{user_context}]
    push {user_ss}
    push gs:[{user_scratch}]
    push r11
    push {user_cs}
    push rcx
    push 0
    push {syscall_vector}
    push rdi
    push rsi
    push rdx
    push rcx
    push rax
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov rsp, gs:[{user_return_rsp}]
    pop rbx
    pop rbp
    ret
.text
