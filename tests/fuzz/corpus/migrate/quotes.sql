-- migrate:up
select 'a;''b', E'\';' 'c', e'x'
  '\';', "a;""b", U&'d;', $$ ; $a$ $$, $a$ ; $$ $b$ $a$, a$b$c; /* /* ; */ ; */ -- ;
do $x$ begin perform 1; end $x$;
-- migrate:down
create rule r as on update to t do also (select 1; select 2);;
