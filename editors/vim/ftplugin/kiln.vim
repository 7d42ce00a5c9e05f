if exists('b:did_ftplugin')
  finish
endif
let b:did_ftplugin = 1

setlocal commentstring=//\ %s comments=:///,://!,://
setlocal shiftwidth=4 softtabstop=4 expandtab
setlocal makeprg=kiln\ check\ %:S
" error[E0123]: message, then --> file:line:column
setlocal errorformat=%E%trror[E%n]:\ %m,%W%tarning[W%n]:\ %m,%C\ %#-->\ %f:%l:%c,%-G%.%#
let b:undo_ftplugin = 'setlocal commentstring< comments< shiftwidth< softtabstop< expandtab< makeprg< errorformat<'
