/* Where the other CPUs start: 16-bit code at physical 0x8000, copied there by smp.rs, which also fills the words at
 * its front. It goes straight to long mode on temporary tables (this page at its own address, and the kernel), and
 * then to `cpu_start` on its own stack. Source: Intel SDM vol. 3, 9.4 (MP initialisation), 10.8.5 (long mode).
 */
.section .rodata
.balign 16
.global start_code
start_code:
.code16
    .byte 0xeb, start_real - start_code - 2         /* jmp start_real */
.balign 8
.global start_words
start_words:
start_root:   .quad 0
start_stack:  .quad 0
start_data:   .quad 0
start_entry:  .quad 0
start_gdt:
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
start_gdt_pointer:
    .short 23
    .long 0x8000 + (start_gdt - start_code)
.set START_ROOT, 0x8000 + (start_root - start_code)
.set START_STACK, 0x8000 + (start_stack - start_code)
.set START_DATA, 0x8000 + (start_data - start_code)
.set START_ENTRY, 0x8000 + (start_entry - start_code)
.set START_GDT_POINTER, 0x8000 + (start_gdt_pointer - start_code)

start_real:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov eax, dword ptr [START_ROOT]
    mov cr3, eax
    mov eax, 0x20                                   /* PAE */
    mov cr4, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x900                                   /* LME, NXE */
    wrmsr
    lgdt [START_GDT_POINTER]
    mov eax, 0x80010031                             /* PG, WP, NE, ET, PE */
    mov cr0, eax
    .byte 0xea                                      /* far jump to the 64-bit code segment */
    .short 0x8000 + (start_long - start_code)
    .short 8
.code64
start_long:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    xor ebp, ebp
    mov rsp, [START_STACK]
    mov rdi, [START_DATA]
    mov rax, [START_ENTRY]
    push 0                                          /* nobody to return to: backtraces end here */
    jmp rax
.global start_code_end
start_code_end:
.section .text
