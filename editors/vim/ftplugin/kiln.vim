if exists('b:did_ftplugin')
  finish
endif
let b:did_ftplugin = 1

setlocal commentstring=//\ %s comments=:///,://!,://
setlocal shiftwidth=4 softtabstop=4 expandtab
setlocal makeprg=kiln\ check\ %:S
" file:line:column: error[E0123]: message
setlocal errorformat=%f:%l:%c:\ %trror[E%n]:\ %m,%f:%l:%c:\ %tarning[W%n]:\ %m,%-G%.%#
" K explains what is under the cursor, CTRL-X CTRL-O completes names of the library.
setlocal keywordprg=kiln\ help\ %:S
setlocal omnifunc=kiln#complete
let b:undo_ftplugin = 'setlocal commentstring< comments< shiftwidth< softtabstop< expandtab< makeprg< errorformat< keywordprg< omnifunc<'
