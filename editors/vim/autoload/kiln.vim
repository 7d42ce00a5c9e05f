" Completion of the names of the library, as `kiln help library` lists them: see :help complete-functions.
function! kiln#complete(findstart, base) abort
  if a:findstart
    return match(strpart(getline('.'), 0, col('.') - 1), '\w*$')
  endif
  let matches = []
  for row in systemlist('kiln help library')
    let parts = matchlist(row, '^  \(\h\w*\)\((.\{-})\)\s\{2,}\(.*\)')
    if !empty(parts) && stridx(parts[1], a:base) == 0
      call add(matches, {'word': parts[1], 'abbr': parts[1] . parts[2], 'menu': parts[3]})
    endif
  endfor
  return matches
endfunction
