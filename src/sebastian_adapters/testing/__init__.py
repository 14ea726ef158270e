"""For tests of one's own: what ours stand on. Needs the extra `testing`.

`contracts` holds one suite for each port: whoever writes an adapter runs the suite that ours pass.
`builders` makes valid values, `policies` lines and floors for hypothesis, `failing` a fake that
fails, `waiting` waits for what must come true.
"""
