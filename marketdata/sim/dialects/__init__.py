"""What each simulated exchange is asked and answers, on HTTP and on sockets."""
