" Kiln, a language for machine-learning experiments.
if exists('b:current_syntax')
  finish
endif

syntax case match

" Definitions, statements and hooks.
syntax match kilnDefinition "^\s*\%(hyper\|const\|fn\|layer\|op\|optimizer\|schedule\|augment\|model\|data\|train\|scan\|reader\|primitive\|import\|precision\)\>\ze\s\+[A-Za-z_\"]"
syntax keyword kilnStorage param buffer state global shared phase
syntax keyword kilnStatement return if then else for in where
syntax match kilnResult "^\s*\zs\%(loss\|metric\|output\|generate\)\>\ze\s\+[A-Za-z_(]"
syntax keyword kilnHook update update_rows before_step epoch_end gradient before_update after_update
syntax keyword kilnReduction sum max min prod mean
syntax keyword kilnWordOperator and or not div
syntax keyword kilnConstant true false none infinity training batch seed step epoch progress phase_step phase_steps steps_per_epoch record
syntax keyword kilnType int float bool string path list f32 f64 i32 i64 u8 class tensor
syntax match kilnFunction "\<\u\w*\>\ze\s*("

syntax match kilnOperator "|>\|<-\|->\|==\|!=\|<=\|>=\|[-+*/@^%=<>]"
syntax match kilnNumber "\<\d\+\%(\.\d\+\)\=\%([eE][-+]\=\d\+\)\=\%(deg\)\=\>"
syntax region kilnString start=+"+ skip=+\\.+ end=+"+ oneline contains=kilnEscape
syntax match kilnEscape "\\[ntr\\\"]" contained

syntax match kilnComment "//.*$" contains=@Spell
syntax match kilnDoc "//[/!].*$" contains=@Spell

highlight default link kilnDefinition Keyword
highlight default link kilnStorage StorageClass
highlight default link kilnStatement Statement
highlight default link kilnResult Keyword
highlight default link kilnHook Keyword
highlight default link kilnReduction Function
highlight default link kilnWordOperator Operator
highlight default link kilnConstant Constant
highlight default link kilnType Type
highlight default link kilnFunction Function
highlight default link kilnOperator Operator
highlight default link kilnNumber Number
highlight default link kilnString String
highlight default link kilnEscape SpecialChar
highlight default link kilnComment Comment
highlight default link kilnDoc SpecialComment

let b:current_syntax = 'kiln'
