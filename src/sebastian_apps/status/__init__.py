"""How the deployment is: what workers say of themselves, what is wrong, and what helps."""
