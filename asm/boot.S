# From GRUB to long mode in the higher half.
#
# GRUB enters boot_entry in 32-bit protected mode with paging off, eax = multiboot2 magic, ebx = physical address of
# the boot information (Multiboot2 specification 3.3, I386 machine state). What the CPU must have is checked first;
# what is missing is said on the serial port, since nothing else works yet.
#
# Owner: machine::boot. Operands: {magic}, {stack_size}, {main}.

.section .boot.header, "a"
.balign 8
multiboot_header:
    .long 0xe85250d6                    # magic
    .long 0                             # architecture: i386
    .long multiboot_header_end - multiboot_header
    .long 0x100000000 - (0xe85250d6 + 0 + (multiboot_header_end - multiboot_header))
    .balign 8
    .short 5, 1                         # framebuffer, optional: whatever size the firmware offers near this one
    .long 20
    .long 1024, 768, 32
    .balign 8
    .short 6, 0                         # modules on page boundaries
    .long 8
    .balign 8
    .short 0, 0                         # end
    .long 8
multiboot_header_end:

.section .boot.text, "ax"
.code32
.global boot_entry
boot_entry:
    cli
    cld
    mov esp, offset boot_stack_top + {to_physical}
    mov esi, offset message_magic
    cmp eax, {magic}
    jne boot_fail
    mov ebp, ebx                        # boot information, kept over cpuid

    # CPUID exists when EFLAGS.ID can be flipped (SDM volume 1, 20.1).
    mov esi, offset message_cpuid
    pushfd
    pop eax
    mov ecx, eax
    xor eax, 1 << 21
    push eax
    popfd
    pushfd
    pop eax
    xor eax, ecx
    jz boot_fail
    mov esi, offset message_long_mode
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb boot_fail
    mov eax, 0x80000001
    cpuid
    bt edx, 29                          # long mode
    jnc boot_fail
    mov esi, offset message_nx
    bt edx, 20                          # no-execute
    jnc boot_fail

    rdtsc                               # the boot timeline begins here
    mov [boot_tsc + {to_physical}], eax
    mov [boot_tsc + {to_physical} + 4], edx

    # The first tables: 4 GiB of identity map, the same memory at PHYS_BASE, and 1 GiB at KERNEL_BASE.
    mov edi, offset boot_pd + {to_physical}
    mov eax, 0x83                       # present, writable, 2 MiB
    mov ecx, 2048
6:  mov [edi], eax
    mov dword ptr [edi + 4], 0
    add eax, 0x200000
    add edi, 8
    loop 6b
    mov edi, offset boot_pdpt_low + {to_physical}
    mov eax, offset boot_pd + {to_physical} + 3
    mov [edi], eax
    add eax, 0x1000
    mov [edi + 8], eax
    add eax, 0x1000
    mov [edi + 16], eax
    add eax, 0x1000
    mov [edi + 24], eax
    mov edi, offset boot_pdpt_high + {to_physical}
    mov dword ptr [edi + 510 * 8], offset boot_pd + {to_physical} + 3
    mov edi, offset boot_pml4 + {to_physical}
    mov eax, offset boot_pdpt_low + {to_physical} + 3
    mov [edi], eax
    mov [edi + 256 * 8], eax
    mov dword ptr [edi + 511 * 8], offset boot_pdpt_high + {to_physical} + 3

    mov cr3, edi
    mov eax, cr4
    or eax, 1 << 5                      # PAE
    mov cr4, eax
    mov ecx, 0xc0000080                 # EFER: SCE, LME, NXE
    rdmsr
    or eax, (1 << 0) | (1 << 8) | (1 << 11)
    wrmsr
    mov eax, cr0
    or eax, (1 << 31) | (1 << 16) | 1   # PG, WP, PE
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    ljmp 0x08, offset boot_long_mode

# esi: what is missing. COM1 by polling, as GRUB or the firmware left it or at its reset speed.
boot_fail:
    mov dx, 0x3f8 + 3
    mov al, 3                           # 8 data bits, no parity
    out dx, al
2:  mov dx, 0x3f8 + 5
    mov ecx, 100000
3:  in al, dx
    test al, 0x20                       # transmitter empty; give up on a port that is not there
    loopz 3b
    mov al, [esi]
    test al, al
    jz 4f
    mov dx, 0x3f8
    out dx, al
    inc esi
    jmp 2b
4:  mov al, {exit_code}                 # QEMU's isa-debug-exit, where there is one
    mov dx, 0xf4
    out dx, al
5:  hlt
    jmp 5b

message_magic:     .asciz "\r\nrusset: not started by a multiboot2 boot loader (wrong magic in eax)\r\n"
message_cpuid:     .asciz "\r\nrusset: this CPU has no CPUID instruction; a 64-bit x86 CPU is needed\r\n"
message_long_mode: .asciz "\r\nrusset: this CPU has no long mode (CPUID 80000001h edx bit 29); a 64-bit x86 CPU is needed\r\n"
message_nx:        .asciz "\r\nrusset: this CPU has no NX bit (CPUID 80000001h edx bit 20), or the firmware disabled it\r\n"

.balign 8
boot_gdt:
    .quad 0
    .quad 0x00209a0000000000            # 64-bit code
    .quad 0x0000920000000000            # data
boot_gdt_pointer:
    .short boot_gdt_pointer - boot_gdt - 1
    .quad boot_gdt

.code64
boot_long_mode:
    mov ax, 0x10
    mov ss, ax
    xor eax, eax
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    movabs rax, offset boot_high
    jmp rax

.section .text.boot, "ax"
boot_high:
    mov rsp, offset boot_stack_top
    mov edi, ebp                        # physical address of the boot information
    xor ebp, ebp                        # end of the frame-pointer chain
    call {main}
    ud2

.section .bss.boot, "aw", @nobits
.balign 4096
.global boot_pml4
boot_pml4:      .skip 4096
boot_pdpt_low:  .skip 4096
boot_pdpt_high: .skip 4096
boot_pd:        .skip 4 * 4096
.balign 16
.global boot_tsc
boot_tsc:       .skip 8
.balign 16
boot_stack:     .skip {stack_size}
boot_stack_top:
.text
