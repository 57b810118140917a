"""Commands of etcdutl, which works on files that no member uses."""
