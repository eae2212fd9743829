# Stands in for python:3.11-slim-bookworm, from Debian's own Python and with this machine's certificates.
FROM onecard-stand-in/tree:made
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN ln -s /usr/bin/python3 /usr/local/bin/python
