# What a Streamlit beginner has: a widget whose value the page shows.
import streamlit as st

st.title("Hello from Streamlit")
name = st.text_input("Name")
if st.button("Greet"):
    st.write(f"Good day, {name}")
upload = st.file_uploader("A file")
if upload:
    st.write(f"{upload.name} has {len(upload.getvalue())} bytes")
