/* Every way into the kernel from a running program or from kernel code, and the way into user mode.
 *
 * Stack on arrival at `trap`, from the top: vector, error code (0 where the CPU has none), then what the CPU
 * pushed: RIP, CS, RFLAGS, RSP, SS. From user mode the CPU starts at TSS.RSP0, which `enter_user` set to the
 * place where it keeps the address of the UserContext: so that lies behind SS.
 * GS holds the program's base in user mode, the kernel's CpuLocal in the kernel; `swapgs` is the first and
 * last thing done at the border. NMI, double fault and machine check can strike between, so they look.
 * Constants in capitals come from user.rs and cpu/local.rs.
 *
 * The .cfi directives tell backtraces (and debuggers) what lies where on the stack at each instruction. A trap's
 * frame address is behind SS. Where the stack is the program's there is nothing to see: RIP is undefined.
 */
.section .text
.macro save_context
    /* rax: the UserContext; all but rax, rip, rflags, rsp. */
    mov [rax + 8], rbx
    mov [rax + 16], rcx
    mov [rax + 24], rdx
    mov [rax + 32], rsi
    mov [rax + 40], rdi
    mov [rax + 48], rbp
    mov [rax + 64], r8
    mov [rax + 72], r9
    mov [rax + 80], r10
    mov [rax + 88], r11
    mov [rax + 96], r12
    mov [rax + 104], r13
    mov [rax + 112], r14
    mov [rax + 120], r15
.endm

.macro save register
    push \register
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \register, 0
.endm

.macro restore register
    pop \register
    .cfi_adjust_cfa_offset -8
    .cfi_restore \register
.endm

.macro push_registers
    save r15
    save r14
    save r13
    save r12
    save r11
    save r10
    save r9
    save r8
    save rbp
    save rdi
    save rsi
    save rdx
    save rcx
    save rbx
    save rax
.endm

.macro pop_registers
    restore rax
    restore rbx
    restore rcx
    restore rdx
    restore rsi
    restore rdi
    restore rbp
    restore r8
    restore r9
    restore r10
    restore r11
    restore r12
    restore r13
    restore r14
    restore r15
.endm

/* What the CPU has pushed, with \bytes of it and of ours on the stack. */
.macro trap_frame bytes
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa rsp, \bytes
    .cfi_offset rip, -40
    .cfi_offset rsp, -16
.endm

/* The frame of `enter_user`, when it has pushed all it does. */
.macro enter_user_frame
    .cfi_def_cfa rsp, 64
    .cfi_offset rip, -8
    .cfi_offset rbx, -16
    .cfi_offset rbp, -24
    .cfi_offset r12, -32
    .cfi_offset r13, -40
    .cfi_offset r14, -48
    .cfi_offset r15, -56
.endm

.type trap, @function
trap:
    trap_frame 56
    cld
    test byte ptr [rsp + 24], 3
    jnz trap_from_user
    push_registers
    mov rdi, rsp
    call kernel_trap
    pop_registers
    add rsp, 16
    .cfi_adjust_cfa_offset -16
    iretq
    .cfi_endproc

.type trap_from_user, @function
trap_from_user:
    trap_frame 56
    swapgs
    push rax
    .cfi_adjust_cfa_offset 8
    mov rax, [rsp + 8 + 56]
    save_context
    pop rbx
    .cfi_adjust_cfa_offset -8
    mov [rax], rbx
    mov rbx, [rsp + 16]
    mov [rax + 128], rbx
    mov rbx, [rsp + 32]
    mov [rax + 136], rbx
    mov rbx, [rsp + 40]
    mov [rax + 56], rbx
    pop rax
    .cfi_adjust_cfa_offset -8
    pop rdx
    .cfi_adjust_cfa_offset -8
    add rsp, 40
    .cfi_endproc
.type leave_user, @function
leave_user:
    .cfi_startproc
    enter_user_frame
    pop rcx
    .cfi_adjust_cfa_offset -8
    restore r15
    restore r14
    restore r13
    restore r12
    restore rbp
    restore rbx
    ret
    .cfi_endproc

.type trap_anywhere, @function
trap_anywhere:
    trap_frame 56
    cld
    push_registers
    xor ebx, ebx
    mov ecx, 0xc0000101
    rdmsr
    test edx, edx
    js 2f
    swapgs
    inc ebx
2:  mov rdi, rsp
    call kernel_trap
    test ebx, ebx
    jz 3f
    swapgs
3:  pop_registers
    add rsp, 16
    .cfi_adjust_cfa_offset -16
    iretq
    .cfi_endproc

.balign 16
.global syscall_entry
.type syscall_entry, @function
syscall_entry:
    .cfi_startproc
    .cfi_undefined rip
    swapgs
    mov gs:[{USER_STACK}], rsp
    mov rsp, gs:[{KERNEL_STACK}]
    enter_user_frame
    push rax
    .cfi_adjust_cfa_offset 8
    mov rax, [rsp + 8]
    save_context
    mov [rax + 128], rcx
    mov [rax + 136], r11
    mov rbx, gs:[{USER_STACK}]
    mov [rax + 56], rbx
    pop rbx
    .cfi_adjust_cfa_offset -8
    mov [rax], rbx
    mov eax, 256
    xor edx, edx
    jmp leave_user
    .cfi_endproc

.balign 16
.global enter_user
.type enter_user, @function
enter_user:
    .cfi_startproc
    save rbx
    save rbp
    save r12
    save r13
    save r14
    save r15
    push rdi
    .cfi_adjust_cfa_offset 8
    mov gs:[{KERNEL_STACK}], rsp
    mov gs:[{USER_ENTRY_STACK}], rsp
    mov rbx, [rdi + 8]
    mov rdx, [rdi + 24]
    mov rbp, [rdi + 48]
    mov r8, [rdi + 64]
    mov r9, [rdi + 72]
    mov r10, [rdi + 80]
    mov r12, [rdi + 96]
    mov r13, [rdi + 104]
    mov r14, [rdi + 112]
    mov r15, [rdi + 120]
    mov rax, [rdi]
    test esi, esi
    mov rsi, [rdi + 32]
    jz 2f
    mov rcx, [rdi + 128]
    mov r11, [rdi + 136]
    .cfi_remember_state
    mov rsp, [rdi + 56]
    .cfi_undefined rip
    mov rdi, [rdi + 40]
    swapgs
    sysretq
    .cfi_restore_state
2:  push {USER_DATA}
    .cfi_adjust_cfa_offset 8
    push [rdi + 56]
    .cfi_adjust_cfa_offset 8
    push [rdi + 136]
    .cfi_adjust_cfa_offset 8
    push {USER_CODE}
    .cfi_adjust_cfa_offset 8
    push [rdi + 128]
    .cfi_adjust_cfa_offset 8
    mov rcx, [rdi + 16]
    mov r11, [rdi + 88]
    mov rdi, [rdi + 40]
    swapgs
    iretq
    .cfi_endproc

.macro vector number, error, target
.balign 8
vector_\number:
    .if \error == 0
    .cfi_def_cfa_offset 40
    push 0
    .endif
    .cfi_def_cfa_offset 48
    push \number
    .cfi_def_cfa_offset 56
    jmp \target
.endm

.type trap_stubs, @function
trap_stubs:
trap_frame 40

.irp n,0,1,3,4,5,6,7,9,15,16,19,20,22,23,24,25,26,27,28,31
    vector \n, 0, trap
.endr
.irp n,10,11,12,13,14,17,21,29,30
    vector \n, 1, trap
.endr
vector 2, 0, trap_anywhere
vector 8, 1, trap_anywhere
vector 18, 0, trap_anywhere
/* Interrupts. */
.irp n,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64,65,66,67,68,69,70,71,72,73,74,75,76,77,78,79,80,81,82,83,84,85,86,87,88,89,90,91,92,93,94,95,96,97,98,99,100,101,102,103,104,105,106,107,108,109,110,111,112,113,114,115,116,117,118,119,120,121,122,123,124,125,126,127,128,129,130,131,132,133,134,135,136,137,138,139,140,141,142,143,144,145,146,147,148,149,150,151,152,153,154,155,156,157,158,159,160,161,162,163,164,165,166,167,168,169,170,171,172,173,174,175,176,177,178,179,180,181,182,183,184,185,186,187,188,189,190,191,192,193,194,195,196,197,198,199,200,201,202,203,204,205,206,207,208,209,210,211,212,213,214,215,216,217,218,219,220,221,222,223,224,225,226,227,228,229,230,231,232,233,234,235,236,237,238,239,240,241,242,243,244,245,246,247,248,249,250,251,252,253,254,255
    vector \n, 0, trap
.endr
.cfi_endproc

.section .rodata
.balign 8
.global trap_vectors
trap_vectors:
.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64,65,66,67,68,69,70,71,72,73,74,75,76,77,78,79,80,81,82,83,84,85,86,87,88,89,90,91,92,93,94,95,96,97,98,99,100,101,102,103,104,105,106,107,108,109,110,111,112,113,114,115,116,117,118,119,120,121,122,123,124,125,126,127,128,129,130,131,132,133,134,135,136,137,138,139,140,141,142,143,144,145,146,147,148,149,150,151,152,153,154,155,156,157,158,159,160,161,162,163,164,165,166,167,168,169,170,171,172,173,174,175,176,177,178,179,180,181,182,183,184,185,186,187,188,189,190,191,192,193,194,195,196,197,198,199,200,201,202,203,204,205,206,207,208,209,210,211,212,213,214,215,216,217,218,219,220,221,222,223,224,225,226,227,228,229,230,231,232,233,234,235,236,237,238,239,240,241,242,243,244,245,246,247,248,249,250,251,252,253,254,255
    .quad vector_\n
.endr
.section .text
