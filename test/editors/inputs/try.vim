call search('Flatten')
normal K
call search('Own()')
normal K
silent make!
let found = map(filter(getqflist(), 'v:val.valid'), '"make: " . bufname(v:val.bufnr) . ":" . v:val.lnum . ": " . v:val.text')
execute "normal oh = image |> GlobalA\<C-x>\<C-o>"
call append('$', map(kiln#complete(0, 'MaxP'), 'v:val.abbr') + found)
write! written
quitall!
