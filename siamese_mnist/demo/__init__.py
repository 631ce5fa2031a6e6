"""A page in the browser: draw two digits and see what a verifier says of them, live.

`server` answers from Python on this machine. `static` writes the same page with the network as ONNX, for any web
server.
"""
