"""HTTP/1.1 as bytes, without I/O: one strict codec for both edges. RFC 9110 and 9112.

Heads of requests (`stream`, `request_line`, `requests`) and of responses (`responses`), bodies by
length and in chunks (`bodies`), on one `grammar` and one reader of header lines (`heads`). What is
left over behind a message is said explicitly (`rest`).
"""
