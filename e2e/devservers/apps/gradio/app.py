# What a Gradio beginner has: a function with an input and an output, which comes in pieces.
import gradio as gr


def greet(name):
    yield f"Good day, {name}"
    yield f"Good day, {name}, and good night"


demo = gr.Interface(greet, gr.Textbox(label="Name"), gr.Textbox(label="Greeting"), title="Hello from Gradio")
demo.launch()
