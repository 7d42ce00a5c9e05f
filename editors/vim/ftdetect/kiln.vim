autocmd BufNewFile,BufRead *.model setfiletype kiln
