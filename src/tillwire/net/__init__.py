"""The network as it is: the `HttpClient` and `Dialer` ports over real sockets."""
