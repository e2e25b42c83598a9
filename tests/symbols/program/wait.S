# Code without DWARF of its own: a symbol with a size, one without, a local one.
  .text
  .globl ledger_wait
  .type ledger_wait, @function
ledger_wait:
  pause
  ret
  .size ledger_wait, . - ledger_wait

  .globl ledger_wait_unsized
ledger_wait_unsized:
  pause
  pause
  ret

  .type ledger_wait_local, @function
ledger_wait_local:
  nop
  ret
  .size ledger_wait_local, . - ledger_wait_local
  .section .note.GNU-stack, "", @progbits
