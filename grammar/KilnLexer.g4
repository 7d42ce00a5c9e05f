// Tokens of the Kiln language. The lexer sees bytes: positions are byte offsets of the file, and every byte of a non-ASCII
// character reaches it as U+007F (compiler/syntax/lex.cpp), which is legal in strings and comments only.
//
// Between this lexer and the parser stands a filter (compiler/syntax/layout.cpp). It turns line breaks and `;` into SEP or
// drops them, demotes keywords to NAME where they are used as names, and marks the words that begin hooks, reductions,
// one-expression lambdas and `if` expressions, so that the parser decides everything on its next token.
lexer grammar KilnLexer;

tokens { SEP, HOOK, REDUCE, LAMBDA, CONDITIONAL, ELSE_IF, SHARE }

HYPER     : 'hyper' ;
CONST     : 'const' ;
FN        : 'fn' ;
LAYER     : 'layer' ;
OP        : 'op' ;
OPTIMIZER : 'optimizer' ;
SCHEDULE  : 'schedule' ;
AUGMENT   : 'augment' ;
MODEL     : 'model' ;
DATA      : 'data' ;
READER    : 'reader' ;
PRIMITIVE : 'primitive' ;
TRAIN     : 'train' ;
SCAN      : 'scan' ;
IMPORT    : 'import' ;
PRECISION : 'precision' ;
ON        : 'on' ;

PARAM  : 'param' ;
BUFFER : 'buffer' ;
STATE  : 'state' ;
GLOBAL : 'global' ;
SHARED : 'shared' ;
RETURN : 'return' ;
IF     : 'if' ;
ELSE   : 'else' ;
FOR    : 'for' ;
IN     : 'in' ;
LOSS   : 'loss' ;
METRIC : 'metric' ;
OUTPUT : 'output' ;
GENERATE : 'generate' ;

THEN  : 'then' ;
AND   : 'and' ;
OR    : 'or' ;
NOT   : 'not' ;
DIV   : 'div' ;
WHERE : 'where' ;
TRUE  : 'true' ;
FALSE : 'false' ;

NAME : [A-Za-z_] [A-Za-z0-9_]* ;

INT        : DIGIT+ ;
FLOAT      : DIGIT+ '.' DIGIT+ EXPONENT? | DIGIT+ EXPONENT ;
ANGLE      : DIGIT+ ( '.' DIGIT+ )? EXPONENT? 'deg' ;
BAD_NUMBER : DIGIT+ ( '.' DIGIT+ )? EXPONENT? [A-Za-z_] [A-Za-z0-9_]* ;

fragment DIGIT    : [0-9] ;
fragment EXPONENT : [eE] [+-]? DIGIT+ ;

STRING     : '"' STRING_CHARACTER* '"' ;
BAD_STRING : '"' STRING_CHARACTER* '\\'? ;

fragment STRING_CHARACTER : '\\' ~[\r\n] | ~["\\\r\n] ;

LPAREN : '(' ;
RPAREN : ')' ;
LBRACK : '[' ;
RBRACK : ']' ;
LBRACE : '{' ;
RBRACE : '}' ;

COMMA     : ',' ;
COLON     : ':' ;
SEMICOLON : ';' ;
DOTDOT    : '..' ;
DOT       : '.' ;
ARROW     : '->' ;
UPDATE    : '<-' ;
PIPE      : '|>' ;
ASSIGN    : '=' ;

EQUAL         : '==' ;
NOT_EQUAL     : '!=' ;
LESS_EQUAL    : '<=' ;
GREATER_EQUAL : '>=' ;
LESS          : '<' ;
GREATER       : '>' ;
PLUS          : '+' ;
MINUS         : '-' ;
STAR          : '*' ;
SLASH         : '/' ;
PERCENT       : '%' ;
CARET         : '^' ;
AT            : '@' ;

COMMENT : '//' ~[\r\n]* ;
NEWLINE : '\n' ;
SPACE   : [ \t\r\f]+ -> skip ;
STRAY   : '\u007F'+ | . ;
