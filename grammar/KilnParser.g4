// Grammar of the Kiln language; README.md explains it. Every decision needs one token (two for `name = ...` in arguments
// and metrics), because the filter in compiler/syntax/layout.cpp has settled line ends and keywords before.
//
// Operators are one flat list here: compiler/syntax/build_expression.cpp applies precedence. Layered rules would cost
// twelve recursive calls for each bracket, and ANTLR recurses without a limit.
parser grammar KilnParser;

options { tokenVocab = KilnLexer; }

file : declaration* EOF ;

declaration
    : kind=( HYPER | CONST ) name ( COLON type )? ASSIGN expression SEP                          # valueDeclaration
    | kind=( FN | LAYER | OP | OPTIMIZER | SCHEDULE | AUGMENT | MODEL | DATA | READER | PRIMITIVE )
      name parameters? results? ( block | ASSIGN expressions )? SEP                              # definition
    | kind=( TRAIN | SCAN ) name ( ON expression )? block SEP                                    # training
    | IMPORT STRING SEP                                                                          # importDeclaration
    | PRECISION name SEP                                                                         # precision
    ;

parameters : LPAREN ( parameter ( COMMA parameter )* )? RPAREN ;
parameter  : ( name | DOTDOT ) ( COLON type )? ( ASSIGN expression )? ;
results    : ARROW ( type ( COMMA type )* | LPAREN type ( COMMA type )* RPAREN ) ;

type       : name ( dimensions dimensions? )? ;
dimensions : LBRACK ( dimension ( COMMA dimension )* )? RBRACK ;
dimension  : DOTDOT name? | expression ;

block : LBRACE statement* RBRACE ;

statement
    : kind=( PARAM | BUFFER | STATE | GLOBAL ) storage ( COMMA storage )* SEP                    # storageStatement
    | SHARED name ASSIGN expression SEP                                                          # sharedStatement
    | RETURN expressions SEP                                                                     # returnStatement
    | IF expression block ( ELSE_IF expression block )* ( ELSE block )? SEP                      # ifStatement
    | FOR name IN expression ( DOTDOT expression )? block SEP                                    # forStatement
    | LOSS expression SEP                                                                        # lossStatement
    | kind=( METRIC | OUTPUT ) ( name ASSIGN )? expression SEP                                   # reportStatement
    | GENERATE expression ASSIGN expression SEP                                                  # generateStatement
    | HOOK name? ( LPAREN ( name ( COMMA name )* )? RPAREN )? block SEP                          # hookStatement
    | expressions ( COLON type )? ( operation=( ASSIGN | UPDATE ) expressions )? SEP             # simpleStatement
    ;

storage : name ( COLON type )? ASSIGN expression ;

expressions : expression ( COMMA expression )* ;

expression
    : operand ( operators+=( THEN | PIPE | OR | AND | EQUAL | NOT_EQUAL | LESS | LESS_EQUAL | GREATER | GREATER_EQUAL
                           | PLUS | MINUS | SHARE | STAR | SLASH | PERCENT | DIV | AT | CARET | WHERE ) operand )*
    ;

operand : prefix* primary suffix* ;

prefix
    : MINUS                                                     # negation
    | NOT                                                       # logicalNot
    | REDUCE LPAREN name ( COMMA name )* RPAREN                 # reduction
    | LAMBDA parameters ASSIGN                                  # lambdaHead
    ;

suffix
    : LPAREN ( argument ( COMMA argument )* )? RPAREN           # call
    | LBRACK subscript ( COMMA subscript )* RBRACK              # index
    | DOT name                                                  # field
    ;

argument  : ( name ASSIGN )? expression ;
subscript : DOTDOT expression? | expression ( DOTDOT expression? )? ;

primary
    : INT                                                       # integer
    | FLOAT                                                     # float
    | ANGLE                                                     # angle
    | STRING                                                    # string
    | ( TRUE | FALSE )                                          # boolean
    | name                                                      # reference
    | LPAREN expressions RPAREN                                 # parenthesised
    | LBRACK ( expression ( COMMA expression )* )? RBRACK       # list
    | CONDITIONAL expression value ( ELSE_IF expression value )* ELSE value  # conditional
    | FN parameters block                                       # lambdaBlock
    ;

/// One branch of an `if` used as an expression.
value : LBRACE expression SEP RBRACE ;

name : NAME ;
