"""Command lines of etcdctl with ETCDCTL_API=2, whose outputs two programs and servers must share.

`{+3}` is the third index after the one that the server began with. A line may end with `<<< text`,
which is its stdin.
"""

KEYS = r"""
set /message Hello
get /message
-o json get /message
-o extended get /message
-o json set /message 'a<b>&"c"'
-o extended set /message Hello
-o nope get /message
mk /message x
mk /other x
-o extended mk /third x
set /stdin <<< from stdin
get /stdin
set /nothing <<<
mk /nothing2 <<<
update /stdin <<< new
set nested/without/slash x
ls --sort nested
get nested/without/slash/
set '/sp ace/ü*(!)$&+,;=@:?#%' 'x y&=+%*~'
ls --sort -r '/sp ace'
get '/sp ace/ü*(!)$&+,;=@:?#%'
set /../a/./b//c x
get /a/b/c
set / x
set '' x
set /empty ''
-o json get /empty
get /none
-o json get /none
-o extended get /none
update /message World
-o json update /message World
update /none x
set /message x --swap-with-value World
set /message x --swap-with-value World
set /message y --swap-with-index {+99}
set --swap-with-value bad --swap-with-index {+99} /message y
set /ttl v --ttl 100
set /ttl --ttl 100 v
mk /ttl2 --ttl 100 v
update --ttl 100 /ttl w
update /ttl w --ttl -5
set -- /dash -v
set /dash -v
set /dash -- -v
get /dash
get
set
mk
update
rm
set /k
"""

DIRECTORIES = r"""
mkdir /dir
mkdir /dir
-o json mkdir /dir3
-o extended mkdir /dir4
mkdir
setdir /dir2
setdir /dir2
-o json setdir /dir5 --ttl 100
set /dir/k v --ttl 100
set /dir/sub/deep v
set /dir/_hidden v
ls --sort
ls --sort /
ls --sort -p
ls --sort -p --recursive /dir
ls --sort --recursive --quorum /
ls --sort -r -p /dir/sub
ls /dir/k
ls /none
ls /dir/_hidden
-o json ls --sort /dir/sub
-o extended ls --sort /dir/sub
get /dir
-o json get /dir
get --sort --quorum /dir/sub/deep
rm /dir
rmdir /dir
rm --dir /dir
-o json rmdir /dir2
rm --recursive /dir
-o extended rm --recursive /dir3
rmdir /dir4
rmdir /none
rm /none
rm /message --with-value bad
rm /message --with-index {+99}
-o json rm /message --with-value x
rm /other
-o extended rm /third
rm --with-value new /stdin
rm /
rmdir
mk --in-order /q job
mk --in-order /q job2 --ttl 100
mk --in-order /q <<< job3
-o json mk --in-order /q job
ls --sort /q
-o json ls --sort -r /q
-o extended get --quorum /q
"""

WATCHES = r"""
set /w 1
set /w 2
set /w/x 3
mkdir /wd
set /wd/a 1
set /wd/b/c 2
rm --recursive /wd
set /we/x 1
watch --after-index {index} /w
watch --after-index {index} --recursive /
-o json watch --after-index {index} /w
-o extended watch --after-index {index} /w
watch /wd/a -r --after-index {index}
-o json watch --recursive --after-index {index} /wd/b
watch
exec-watch --after-index {index} /w -- sh -c 'kill $PPID'
exec-watch --after-index {index} /w -- /no/such/program
exec-watch --after-index {index} /w -- no-such-program
exec-watch --after-index {index} -r /we -- sh -c 'env | grep ETCD_WATCH | sort; kill $PPID'
exec-watch /w
exec-watch
"""

CLUSTER = r"""
member list
member list x
member add
member add n
member add n foo
member add n http://127.0.0.1
member add n http://127.0.0.1:1/x
member add n localhost:1
member remove
member remove 123
member remove bench
member update
member update 123
member update 123 foo
cluster-health
user
user add
user get
user list x
user grant
user grant x
user revoke x
role add
role get
role list x
role grant x
role grant x --path a
role grant x --path /a
role grant x --path /a --read --write
role revoke x --path /a/
auth enable x
auth disable x
"""

FLAGS = r"""
-v
--version
nope
help nope
member nope
set --nope
set ---x
set --ttl
set --ttl x /a b
set --ttl 99999999999999999999 /a b
ls --sort=maybe
ls -r --recursive /
member add --nope
member --nope
--nope
--timeout x ls
--timeout 5 ls
--output
--total-timeout 0 ls
--timeout 1ns ls
--no-sync --debug get /debug
--debug get /debug
--debug set /debug 'a b"c'
--debug mkdir /debug2
--debug --no-sync rm /debug
--debug ls /debug2
--debug watch -r --after-index {+1} /debug
-debug -no-sync ls /debug2
"""

# Without a server that answers: where they are is part of the line.
ELSEWHERE = r"""
--endpoints http://127.0.0.1:1 ls
--endpoint http://127.0.0.1:1 --no-sync ls
--peers http://127.0.0.1:1 --no-sync set /a b
-C http://127.0.0.1:1 --no-sync mk /a b
--endpoints http://127.0.0.1:1 --no-sync rm /a
--endpoints http://127.0.0.1:1 cluster-health
--endpoints http://127.0.0.1:1 member list
--endpoints http://127.0.0.1:1 --no-sync member list
--endpoints http://127.0.0.1:1 --no-sync watch /a
--endpoints ftp://127.0.0.1:1 --no-sync ls
--endpoints ,, ls
--endpoints http://127.0.0.1:1,http://HOST ls --sort /q
-C http://HOST --no-sync get /empty
--endpoint http://HOST get /empty
-u name:password --endpoint http://HOST get /empty
"""

# Only at etcd, for petcd has no access control of v2 yet.
ACCESS = r"""
user list
role list
user add root:pw
user add root:pw
user add joe:a:b
user get root
user get joe
user get none
user list
role add r
role add r
role get r
role get none
role grant r --path /a* --read
role grant r --path /a* --read
role grant r --path /b --readwrite
role grant r --path /c --write
role get r
role revoke r --path /b --rw
role revoke r --path /none --read
role get r
user grant joe --roles r
user grant joe --roles r
user grant joe --roles none --roles root
user get joe
user revoke joe --roles none
user revoke joe --roles root
user revoke joe --roles nothing
user get joe
user list
role list
--debug role list
--debug user grant joe --roles guest
auth enable
auth enable
set /a x
-u joe:a:b get /a
-u joe:a:b set /a x
-u joe:wrong set /a x
-u root:pw set /a/b x
-u joe:a:b get /a/b
-u joe:a:b ls /a
-u root:pw role remove root
-u root:pw user remove root
member list
-u root:pw user remove joe
-u root:pw user remove joe
-u root:pw role remove r
-u root:pw role remove r
auth disable
-u root:pw auth disable
auth disable
user remove root
"""

# The last of a cluster of one, which has no majority afterwards.
ADDING = r"""
member add second http://127.0.0.1:1
member list
member remove second
"""
