# Interrupts and exceptions: 256 stubs, one common path, one paranoid path.
#
# Each stub makes the stack look the same (vector and error code pushed below what the CPU pushed) and jumps on.
# From user mode the CPU's stack is the end of the task's UserContext (TSS.rsp0, see user.S), so pushing the
# registers fills the context in place; the kernel then goes on behind machine::user::run as if that call had returned.
# From kernel mode the same layout lies on the kernel stack as a TrapFrame.
#
# Owner: machine::trap. Operands: {kernel_trap}, {paranoid_trap}, {user_context}, {user_return_rsp}, {gs_base_msr}.

.macro PUSH_REGISTERS
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
.endm
.macro POP_REGISTERS
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
.endm
# Back behind the call of user_enter; the registers that this keeps lie where it pushed them.
.macro RETURN_FROM_USER
    mov rsp, gs:[{user_return_rsp}]
    pop rbx
    pop rbp
    ret
.endm

.section .text.trap, "ax"
.balign 16
.global interrupt_stubs
interrupt_stubs:
.set vector, 0
.rept 256
    .balign 16
    # Exceptions that push an error code themselves: SDM volume 3, table 6-1.
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push 0
    .endif
    push vector
    .if vector == 1
    jmp debug_interrupt
    .elseif vector == 2 || vector == 8 || vector == 18
    jmp paranoid_interrupt
    .else
    jmp common_interrupt
    .endif
    .set vector, vector + 1
.endr

.balign 16
.global common_interrupt
common_interrupt:
    cld
    test byte ptr [rsp + 24], 3         # cs: from user mode?
    jz 6f
    swapgs
    PUSH_REGISTERS
    RETURN_FROM_USER
6:  PUSH_REGISTERS
    mov rdi, rsp
    call {kernel_trap}
    POP_REGISTERS
    add rsp, 16                         # vector, error code
    iretq
.global common_interrupt_end
common_interrupt_end:

# NMI, double fault and machine check come at any instruction, also between a swapgs and what it belongs to: these
# run on their own IST stacks and look at GS itself. User mode cannot set GS to a kernel address.
.balign 16
.global paranoid_interrupt
paranoid_interrupt:
    cld
    PUSH_REGISTERS
    xor ebx, ebx
    mov ecx, {gs_base_msr}
    rdmsr
    test edx, edx
    js 2f
    swapgs
    inc ebx
2:  mov rdi, rsp
    call {paranoid_trap}
    test ebx, ebx
    jz 3f
    swapgs
3:  POP_REGISTERS
    add rsp, 16
    iretq
.global paranoid_interrupt_end
paranoid_interrupt_end:

# A debug exception can come at the first instruction of syscall_entry, on a stack and with a GS that are the user's: MOV SS
# from a watched place puts it off until then. So it has a stack of its own, from which what comes from user mode goes on to
# the end of the context as on the common path: vector, error code and the five words that the CPU has pushed.
.balign 16
.global debug_interrupt
debug_interrupt:
    cld
    test byte ptr [rsp + 24], 3         # cs: from user mode?
    jz paranoid_interrupt
    swapgs
    push rax
    push rcx
    mov rax, gs:[{user_context}]
.set word, 0
.rept 7
    mov rcx, [rsp + 16 + 8 * word]
    mov [rax - 56 + 8 * word], rcx
    .set word, word + 1
.endr
    mov rcx, [rsp + 8]                  # rax, by way of the place that rdi will have
    mov [rax - 64], rcx
    pop rcx
    lea rsp, [rax - 64]
    pop rax
    PUSH_REGISTERS
    RETURN_FROM_USER
.text
