# The switch between two kernel stacks.
#
# context_switch(save: *mut usize, next_rsp: usize) returns on the other stack; the caller holds interrupts off.
# A new task's stack is made by machine::task so that the first switch to it "returns" into task_entry.
#
# Owner: machine::task. Operands: {task_start}.

.section .text.switch, "ax"
.balign 16
.global context_switch
context_switch:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [rdi], rsp
    mov rsp, rsi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

.global task_entry
task_entry:
    xor ebp, ebp                        # end of the frame-pointer chain
    call {task_start}
    ud2
.text
