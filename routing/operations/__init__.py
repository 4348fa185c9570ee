"""What is asked of models beyond chats: each operation's request, answer, needs and measure. Pure."""
