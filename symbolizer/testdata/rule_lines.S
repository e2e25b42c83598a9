/* Code with lines: of a function, then of none. */
  .text
  .globl rule_lines
  .type rule_lines, @function
rule_lines:
  lea 1(%rdi), %eax
  ret
  .size rule_lines, . - rule_lines
  ud2  /* line 9 */
  .section .note.GNU-stack, "", @progbits
