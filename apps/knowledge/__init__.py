"""Knowledge that earns: answers from documents that nobody is shown, whose owners are paid."""
