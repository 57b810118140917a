"""etcd's v2 API over HTTP: translation only; the tree itself is `petcd.member.v2`."""
